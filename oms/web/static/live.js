// Keeps a page true without reloading it: follows the journal's stream, asks for the page's parts again when something
// was journaled, and puts in those that changed. Everything works without it; then a page is as old as its last load.
"use strict";

(() => {
  const LEAST_MS = 350; // between two looks, however much is journaled
  const IDLE_MS = 5000; // the heartbeat is no fact of the journal: look again even when nothing is journaled
  const PATIENCE_MS = 8000; // for one answer
  const banner = document.getElementById("stream");
  const shown = new Map(); // id of each live element -> the server's text of it
  let seenAt = new Date();
  let timer = null;
  let busy = false;
  let again = false;
  let lost = false;
  let dragging = false;
  let stream = null;
  let address = location.pathname + location.search;

  const parts = (root) => root.querySelectorAll("[data-live]");

  function keep(root) {
    for (const part of parts(root)) shown.set(part.id, part.outerHTML);
  }

  function inUse(part) {
    // Nobody loses what he is typing or about to confirm.
    if (part.querySelector("details.ask[open]")) return true;
    const active = document.activeElement;
    if (active.id === "scrub") return dragging && part.contains(active);
    return part.contains(active) && /^(INPUT|SELECT|TEXTAREA)$/.test(active.tagName);
  }

  function put(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const found = new Map([...parts(fresh)].map((part) => [part.id, part]));
    const present = new Set([...parts(document)].map((part) => part.id));
    const main = document.getElementById("main");
    if ([...found.keys()].some((id) => !present.has(id)) || [...present].some((id) => !found.has(id))) {
      // A card came or went: the whole content is put in anew, unless somebody is at work in it.
      if (!inUse(main)) swap(main, () => main.replaceChildren(...outside(fresh)));
    }
    for (const part of parts(document)) {
      const next = found.get(part.id);
      if (!next || shown.get(part.id) === next.outerHTML || inUse(part)) continue;
      shown.set(part.id, next.outerHTML);
      swap(part, () => part.replaceWith(document.importNode(next, true)));
    }
    count();
  }

  function swap(part, put) {
    // Whoever stood at a control or had pushed a table aside finds both as they were.
    const focus = part.contains(document.activeElement) && document.activeElement.id;
    const places = new Map([...part.querySelectorAll(".scroll")].map((box) => [box.ariaLabel, box.scrollLeft]));
    put();
    if (focus) document.getElementById(focus)?.focus();
    for (const box of document.querySelectorAll(".scroll"))
      if (places.get(box.ariaLabel)) box.scrollLeft = places.get(box.ariaLabel);
  }

  function outside(fresh) {
    const frame = ["mode", "pulse", "brake", "alarms"];
    return [...fresh.body.children].filter((child) => !frame.includes(child.id));
  }

  async function look() {
    timer = null;
    if (busy) return void (again = true);
    if (document.hidden) return;
    busy = true;
    try {
      const answer = await fetch(address, {
        headers: { "X-Oms-Part": "1" },
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      if (answer.redirected || answer.status === 401) return void location.reload();
      if (answer.ok) {
        put(await answer.text());
        seenAt = new Date();
        if (lost && (stream === null || stream.readyState === EventSource.CLOSED)) listen();
        else if (stream?.readyState === EventSource.OPEN) say(false);
      }
    } catch {
      // A line that died without a word is noticed here: the stream alone would wait for ever.
      say(true);
      stream?.close();
    } finally {
      busy = false;
      if (again) {
        again = false;
        soon();
      }
    }
  }

  function soon(wait = LEAST_MS) {
    if (timer === null) timer = setTimeout(look, wait);
  }

  function say(isLost) {
    document.documentElement.dataset.stream = isLost ? "lost" : "live";
    if (isLost === lost) return;
    lost = isLost;
    banner.hidden = false;
    banner.classList.toggle("bad", lost);
    banner.textContent = lost
      ? banner.dataset.lost.replace("{time}", seenAt.toLocaleTimeString())
      : banner.dataset.healed;
    if (!lost) setTimeout(() => (banner.hidden = !lost), 4000);
  }

  function listen() {
    stream?.close();
    const after = document.getElementById("pulse").dataset.seq;
    stream = new EventSource(`/api/events?after=${after}`);
    stream.onopen = () => {
      say(false);
      soon(0);
    };
    stream.onmessage = () => soon();
    stream.addEventListener("reset", () => soon()); // an older journal was put back
    stream.onerror = () => say(true); // the browser tries again from where it was, or the next look does
  }

  addEventListener("pagehide", () => stream?.close());
  addEventListener("pageshow", (event) => event.persisted && listen());

  const units = document.body.dataset.units.split("|");

  function span(seconds) {
    const fill = (text, values) => text.replace(/\{(\w)\}/g, (_, name) => values[name]);
    const whole = Math.max(Math.floor(seconds), 0);
    if (whole < 60) return fill(units[0], { n: whole });
    const minutes = Math.floor(whole / 60);
    if (minutes < 60) return fill(units[1], { n: minutes, s: whole % 60 });
    const hours = Math.floor(minutes / 60);
    return hours < 48 ? fill(units[2], { n: hours, m: minutes % 60 }) : fill(units[3], { n: Math.floor(hours / 24) });
  }

  function count() {
    const now = Date.now() / 1000;
    for (const each of document.querySelectorAll("[data-since]")) each.textContent = span(now - each.dataset.since);
    for (const each of document.querySelectorAll("[data-until]")) each.textContent = span(each.dataset.until - now);
    for (const each of document.querySelectorAll("[data-clock]")) {
      const off = Math.round(seenAt.getTime() / 1000 - each.dataset.clock);
      each.textContent = Math.abs(off) < 2 ? each.dataset.same : each.dataset.off.replace("{n}", off);
    }
  }

  // The scrubber: each step asks for the page as it was then.

  function scrub(position) {
    const seqs = document.getElementById("scrubber").dataset.seqs.split(",");
    const at = Math.min(Math.max(position, 1), seqs.length);
    document.getElementById("scrub-seq").textContent = seqs[at - 1];
    address = location.pathname + (at === seqs.length ? "" : `?at=${seqs[at - 1]}`);
    history.replaceState(null, "", address);
    soon(60);
  }

  document.addEventListener("input", (event) => {
    if (event.target.id === "scrub") scrub(Number(event.target.value));
  });
  document.addEventListener("pointerdown", (event) => (dragging = event.target.id === "scrub"));
  document.addEventListener("pointerup", () => {
    if (dragging) soon(0);
    dragging = false;
  });
  document.addEventListener("change", (event) => {
    if (event.target.form?.matches(".choices, .filters[method=get]") && event.target.tagName === "SELECT")
      event.target.form.requestSubmit();
  });
  document.addEventListener("click", (event) => {
    const step = event.target.closest("[data-step]");
    if (!step) return;
    event.preventDefault();
    const slider = document.getElementById("scrub");
    slider.value = Number(slider.value) + Number(step.dataset.step);
    scrub(Number(slider.value));
  });
  document.addEventListener("submit", (event) => {
    // One press is one deed.
    if (event.target.method === "post") for (const each of event.target.querySelectorAll("button")) each.disabled = true;
  });
  document.addEventListener("visibilitychange", () => soon(0));

  keep(document);
  count();
  setInterval(count, 1000);
  setInterval(soon, IDLE_MS);
  listen();
})();
