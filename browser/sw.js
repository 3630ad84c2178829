/* Pages with live cells open without a connection too, once they were here. What is on the wire goes first. */
"use strict";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method !== "GET" || new URL(url).origin !== location.origin) return;
  event.respondWith(fetch(event.request).catch(async () => (await caches.match(url, { ignoreSearch: true })) ?? Response.error()));
});
