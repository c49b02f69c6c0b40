// The link that `serve` prints carries the token behind the #, which no server is ever sent: hand it over by the form, and
// take it out of the address and of the history.
"use strict";

(() => {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  history.replaceState(null, "", location.pathname + location.search);
  const form = document.querySelector("form");
  form.elements.token.value = token;
  form.requestSubmit();
})();
