// Keeps the phone's page usable without network: built files by name for ever, the page itself as last seen.
const CACHE = 'page-1'
self.addEventListener('install', () => self.skipWaiting())
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()))
self.addEventListener('fetch', (event) => {
  const { request } = event
  const url = new URL(request.url)
  if (request.method !== 'GET' || url.origin !== location.origin) return
  if (url.pathname.startsWith('/assets/')) event.respondWith(built(request))
  else if (request.mode === 'navigate' || url.pathname === '/api/v1/site') event.respondWith(fresh(request))
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
    if (response.ok) await cache.put(key, response.clone())
    return response
  } catch (error) {
    const kept = await cache.match(key)
    if (kept) return kept
    throw error
  }
}
