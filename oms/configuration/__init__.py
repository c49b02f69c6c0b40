"""How config.yaml and the environment become one checked value; the door is ``oms.config``."""
