// Keeps the phone's page usable without network: built files by name for ever, the page itself as last seen.
const CACHE = 'page-1'
self.addEventListener('install', (event) =>
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(['/', '/theme.js']))
      .then(() => self.skipWaiting()),
  ),
)
// The first visit was loaded before this worker was there: the page names what it uses.
self.addEventListener('message', (event) => {
  const own = (event.data?.keep ?? []).filter((url) => new URL(url).origin === location.origin)
  if (own.length > 0) event.waitUntil(keep(own).then((all) => event.ports[0]?.postMessage(all)))
})
/** Whether all of it is kept. */
async function keep(own) {
  const cache = await caches.open(CACHE)
  const done = await Promise.allSettled(own.map(async (url) => (await cache.match(url)) || cache.add(url)))
  // What an older build left behind is asked for by nobody.
  const old = (await cache.keys()).filter(
    ({ url }) => new URL(url).pathname.startsWith('/assets/') && !own.includes(url),
  )
  await Promise.all(old.map((request) => cache.delete(request)))
  return done.every(({ status }) => status === 'fulfilled')
}
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()))
self.addEventListener('fetch', (event) => {
  const { request } = event
  const url = new URL(request.url)
  if (request.method !== 'GET' || url.origin !== location.origin) return
  if (url.pathname.startsWith('/assets/')) event.respondWith(built(request))
  else if (request.mode === 'navigate' || url.pathname === '/api/v1/site' || url.pathname === '/theme.js')
    event.respondWith(fresh(request))
})
async function built(request) {
  const cache = await caches.open(CACHE)
  const kept = await cache.match(request)
  if (kept) return kept
  const response = await fetch(request)
  if (response.ok) await cache.put(request, response.clone())
  return response
}
async function fresh(request) {
  const cache = await caches.open(CACHE)
  const key = request.mode === 'navigate' ? '/' : request
  try {
    const response = await fetch(request)
    // A picture or a script may be navigated to as well; only the page is kept as the page.
    const page = response.headers.get('content-type')?.startsWith('text/html') ?? false
    if (response.ok && (key !== '/' || page)) await cache.put(key, response.clone())
    return response
  } catch (error) {
    const kept = await cache.match(key)
    if (kept) return kept
    throw error
  }
}
