// The page around the terminal of textual-serve: its connection, which it does not keep; the tab's title;
// files and links; the keys that belong to the browser.
"use strict";

(() => {
  const texts = JSON.parse(document.body.dataset.texts);
  const cover = document.getElementById("cover");
  const sentence = document.getElementById("sentence");
  const choice = document.getElementById("choice");
  const END = { ended: 4000, moved: 4001, crowded: 4002, badMessage: 4003 };
  const RETRY_MS = 1000;
  const MAX_RETRY_MS = 10000;
  const MAX_SENT_CHARACTERS = 4 * 1024 ** 2; // a quarter of what the server takes, in bytes
  // Reload and full screen stay the browser's, and so does pasting: the app can't read the clipboard.
  const BROWSER_KEYS = new Set(["F5", "F11"]);
  let isOver = false;

  function say(text, label = "", act = null) {
    sentence.textContent = text;
    choice.textContent = label;
    choice.hidden = act === null;
    choice.onclick = act;
    cover.hidden = false;
    if (act !== null) choice.focus();
  }

  function focusTerminal() {
    document.querySelector(".xterm-helper-textarea")?.focus();
  }

  function reload() {
    window.location.reload();
  }

  // The app itself opens what is clicked; xterm.js would open each address that it sees a second time.
  const openPage = window.open.bind(window);
  window.open = () => null;

  const receivers = {
    shown() { sentence.textContent = texts.starting; choice.hidden = true; },
    waiting(_value, socket) {
      say(texts.waiting, texts.take, () => socket.send(JSON.stringify(["take"])));
    },
    moved() { isOver = true; say(texts.moved, texts.take, reload); },
    ended([text, canStartAgain]) {
      isOver = true;
      if (canStartAgain) say(text, texts.restart, reload);
      else say(text);
    },
    title(text) { document.title = text; },
    background(colour) { document.body.style.background = colour; },
    link(url) { openPage(url, "_blank", "noopener,noreferrer"); },
    file(key) {
      const link = document.createElement("a");
      link.href = "download/" + encodeURIComponent(key);
      link.download = "";
      link.click();
    },
  };

  async function comeBack(waitMs = RETRY_MS) {
    try {
      const answer = await fetch("alive", { cache: "no-store" });
      if (answer.ok) return reload();
      return say(texts.refused);
    } catch {
      setTimeout(comeBack, waitMs, Math.min(waitMs * 2, MAX_RETRY_MS));
    }
  }

  window.WebSocket = class extends WebSocket {
    constructor(url) {
      super(url);
      this.addEventListener("message", ({ data }) => {
        if (typeof data !== "string") {
          if (!isOver) cover.hidden = true;
          return;
        }
        const [kind, value] = JSON.parse(data);
        if (Object.hasOwn(receivers, kind)) receivers[kind](value, this);
      });
      this.addEventListener("close", ({ code }) => {
        if (isOver || code === END.ended || code === END.moved) return;
        if (code === END.crowded) return say(texts.crowded, texts.again, reload);
        say(texts.lost);
        comeBack();
      });
    }
    send(data) {
      if (this.readyState !== WebSocket.OPEN) return; // it would throw while it connects
      if (data.length <= MAX_SENT_CHARACTERS) return super.send(data);
      say(texts.too_large, texts.close, () => { cover.hidden = true; focusTerminal(); });
    }
  };

  window.addEventListener("keydown", (event) => {
    const isPaste = (event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "v";
    if (isPaste || BROWSER_KEYS.has(event.key)) event.stopImmediatePropagation();
  }, true);

  async function start() {
    if (document.createElement("canvas").getContext("webgl2") === null) return say(texts.unable);
    // The terminal measures its font once, so that has to be here.
    await Promise.allSettled(["", "bold ", "italic "].map((style) => document.fonts.load(style + "16px 'Roboto Mono'")));
    const script = document.createElement("script");
    script.src = "files/textual.js";
    script.onload = () => {
      window.onload();
      focusTerminal();
    };
    script.onerror = () => say(texts.lost, texts.again, reload);
    document.head.append(script);
  }

  start();
})();
