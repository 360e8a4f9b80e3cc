// A stand-in for the gateway, for screenshots and component tests only: serves dist and speaks the two sockets from
// tests/fixtures. Not part of the build. `node dev/harness.mjs [calm|fire] [port]`
import { execFileSync } from 'node:child_process'
import { createReadStream, existsSync, mkdtempSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { createServer as createVite } from 'vite'
import { WebSocketServer } from 'ws'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const types = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
}
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' blob:; media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

/** One frame a fragment, as the centre sends it: [init, ...fragments with key flags]. */
function film() {
  const dir = mkdtempSync(join(tmpdir(), 'film-'))
  const file = join(dir, 'film.mp4')
  execFileSync('ffmpeg', [
    '-loglevel',
    'error',
    '-f',
    'lavfi',
    '-i',
    'testsrc2=size=640x360:rate=12:duration=8,hue=s=0.12,eq=brightness=-0.25',
    '-c:v',
    'libx264',
    '-profile:v',
    'baseline',
    '-g',
    '24',
    '-preset',
    'ultrafast',
    '-pix_fmt',
    'yuv420p',
    '-movflags',
    'frag_every_frame+empty_moov+default_base_moof',
    file,
  ])
  const jpeg = join(dir, 'sheet.jpg')
  execFileSync('ffmpeg', [
    '-loglevel',
    'error',
    '-f',
    'lavfi',
    '-i',
    'testsrc2=size=2560x1350:rate=1:duration=1,hue=s=0.1,eq=brightness=-0.3',
    '-frames:v',
    '1',
    jpeg,
  ])
  const still = join(dir, 'still.jpg')
  execFileSync('ffmpeg', ['-loglevel', 'error', '-i', file, '-frames:v', '1', still])
  const bytes = readFileSync(file)
  let init = Buffer.alloc(0)
  const fragments = []
  for (let at = 0; at < bytes.length;) {
    const size = bytes.readUInt32BE(at)
    const type = bytes.toString('latin1', at + 4, at + 8)
    const box = bytes.subarray(at, at + size)
    if (type === 'ftyp' || type === 'moov') init = Buffer.concat([init, box])
    else if (type === 'moof') fragments.push(box)
    else if (type === 'mdat') fragments[fragments.length - 1] = Buffer.concat([fragments.at(-1), box])
    at += size
  }
  return { init, fragments, jpeg: readFileSync(jpeg), still: readFileSync(still) }
}

/** The film without end: decode times are moved on by each round. */
function fragmentAt(film, n) {
  const round = Math.floor(n / film.fragments.length)
  const bytes = Buffer.from(film.fragments[n % film.fragments.length])
  const at = bytes.indexOf('tfdt')
  const shift = BigInt(round) * film.span
  if (bytes[at + 4] === 1) bytes.writeBigUInt64BE(bytes.readBigUInt64BE(at + 8) + shift, at + 8)
  else bytes.writeUInt32BE(bytes.readUInt32BE(at + 8) + Number(shift), at + 8)
  return bytes
}

const place = (id, kind, zh, en, value, unit) => ({
  id,
  kind,
  name: { zh, en },
  grid: '53062100200106',
  building: 'b12',
  place: '12栋2单元6层',
  online: true,
  since: Date.now() - 9e6,
  value,
  unit,
  at: Date.now() - 20_000,
})
const devices = () => [
  place('smoke-b12-2-06', 'smoke', '12栋2单元6层烟感', 'Building 12 smoke', 0.021, 'dB/m'),
  place('hydrant-r1-03', 'hydrant_pressure', '一号路3号消防栓', 'Road 1 hydrant 3', 0.31, 'MPa'),
  place('lift-b12', 'lift', '12栋电梯', 'Building 12 lift', 0, ''),
]

/** A wave with a spike, and a fifth of the span without values. */
function history(query) {
  const [from, until] = [Number(query.get('from')), Date.now()]
  const length = until - from
  const step = length <= 7_200_000 ? null : length <= 172_800_000 ? 60_000 : 3_600_000
  const points = []
  for (let at = step === null ? from : Math.ceil(from / step) * step; at < until; at += step ?? 45_000) {
    const part = (at - from) / length
    if (part > 0.4 && part < 0.6) continue
    const mean = 0.02 + 0.01 * Math.sin(part * 20) + (part > 0.8 && part < 0.82 ? 0.2 : 0)
    points.push({
      at,
      min: step === null ? mean : mean * 0.7,
      mean,
      max: step === null ? mean : mean * 1.4,
      count: step === null ? 1 : step / 30_000,
    })
  }
  return {
    resolution: step === null ? 'raw' : step === 60_000 ? 'minute' : 'hour',
    from,
    until,
    unit: 'dB/m',
    step,
    more: false,
    points,
  }
}

/**
 * `full`: how many times the media socket says that it has no room. `stepped`: the server's time goes on by `step` only in
 * addition to the real one, and pings stay unanswered, so that pages follow each step at once.
 */
export async function start({ scenario = 'fire', port = 0, demo = true, role, full = 0, stepped = false } = {}) {
  const vite = await createVite({
    root,
    configFile: false,
    server: { middlewareMode: true, watch: null, ws: false },
    appType: 'custom',
    logLevel: 'error',
    optimizeDeps: { noDiscovery: true },
  })
  const feed = await vite.ssrLoadModule('/client/src/generated/feed_pb.ts')
  const mediaPb = await vite.ssrLoadModule('/src/generated/media_pb.ts')
  const { snapshot } = await vite.ssrLoadModule('/tests/fixtures/scenario.ts')
  const site = JSON.parse(readFileSync(join(root, 'tests/fixtures/site.json'), 'utf8'))
  const moving = film()
  moving.span = (() => {
    const at = (b) => {
      const i = b.indexOf('tfdt')
      return b[i + 4] === 1 ? b.readBigUInt64BE(i + 8) : BigInt(b.readUInt32BE(i + 8))
    }
    const [a, b] = [at(moving.fragments[0]), at(moving.fragments[1])]
    return (b - a) * BigInt(moving.fragments.length)
  })()
  const requests = []
  const credentials = new Map()
  let session = role
    ? {
        account: role,
        name: '杨帆',
        role,
        unit: role === 'department_clerk' ? 'property' : null,
        grid: null,
        audience: 'centre',
      }
    : null
  const json = (res, value, status = 200) => {
    res.writeHead(status, { 'content-type': 'application/json' })
    res.end(JSON.stringify(value))
  }
  const server = createServer((req, res) => {
    const url = new URL(req.url, 'http://x')
    const chunks = []
    req.on('data', (c) => chunks.push(c))
    req.on('end', () => {
      const text = Buffer.concat(chunks)
      if (url.pathname.startsWith('/api/')) return rest(req, res, url, text)
      let file = normalize(join(root, 'dist', url.pathname))
      if (!file.startsWith(join(root, 'dist')) || !existsSync(file) || statSync(file).isDirectory())
        file = join(root, 'dist/index.html')
      res.writeHead(200, {
        'content-type': types[extname(file)] ?? 'application/octet-stream',
        'content-security-policy': POLICY,
      })
      createReadStream(file).pipe(res)
    })
  })
  function rest(req, res, url, body) {
    const path = url.pathname.replace('/api/v1', '')
    requests.push({
      method: req.method,
      path,
      query: url.search,
      at: Date.now(),
      key: req.headers['idempotency-key'],
      body: req.headers['content-type'] === 'application/json' ? body.toString() : body.length,
    })
    if (path === '/session' && req.method === 'POST') {
      const { account } = JSON.parse(body)
      const r = { duty: 'duty_officer', chief: 'shift_chief', wall: 'wall_display', property: 'department_clerk' }[
        account
      ]
      if (r === undefined)
        return json(
          res,
          { code: 'bad_credentials', title: '账号或密码不对', title_en: 'Wrong account or password' },
          401,
        )
      session = {
        account,
        name: '杨帆',
        role: r,
        unit: r === 'department_clerk' ? 'property' : null,
        grid: null,
        audience: 'centre',
      }
      return json(res, session)
    }
    if (path === '/session' && req.method === 'DELETE') {
      session = null
      res.writeHead(204)
      return res.end()
    }
    if (path === '/demo')
      return demo
        ? json(res, {
            demo: true,
            accounts: [
              { account: 'duty', password: 'duty', role: 'duty_officer', name_zh: '值班员', name_en: 'Duty officer' },
            ],
          })
        : json(res, { code: 'not_found', title: '没有', title_en: 'None' }, 404)
    if (session === null) return json(res, { code: 'unauthorised', title: '请登录', title_en: 'Log in' }, 401)
    if (path === '/session') return json(res, session)
    if (path === '/site') return json(res, site)
    if (path === '/demo/happenings' && req.method === 'GET')
      return json(res, {
        kinds: [
          { kind: 'fire', zh: '火情', en: 'Fire', needs: 'building' },
          { kind: 'camera_frozen', zh: '画面停滞', en: 'Picture frozen', needs: 'camera' },
        ],
        active: [],
      })
    if (path === '/incidents' && req.method === 'GET') return json(res, { items: [], next: null })
    if (path.endsWith('/still') || path.startsWith('/blobs/')) {
      res.writeHead(200, { 'content-type': 'image/jpeg' })
      return res.end(moving.still)
    }
    if (path === '/devices') return json(res, devices())
    if (path === '/devices/chattering')
      return json(
        res,
        scenario === 'fire'
          ? [
              { sensor: 'hydrant_pressure-b9', rule: 'hydrant_pressure', since: Date.now() - 9e4, turns: 12 },
              { sensor: 'hydrant-r1-03', rule: 'hydrant_pressure', since: Date.now() - 9e4, turns: 7 },
            ]
          : [],
      )
    if (path.endsWith('/history')) return json(res, history(url.searchParams))
    if (path === '/devices/strangers')
      return json(res, [
        { device: 'lock-7', format: 'thingsboard', first: Date.now() - 9e5, last: Date.now() - 4000, count: 12_345 },
        {
          device: '0x00158d0001a2b3c4',
          format: 'zigbee2mqtt',
          first: Date.now() - 9e7,
          last: Date.now() - 9e6,
          count: 3,
        },
      ])
    if (path === '/devices/credentials') return json(res, [...credentials.values()])
    const issue = /^\/devices\/([^/]+)\/credential$/.exec(path)
    if (issue) {
      if (session.role !== 'shift_chief')
        return json(
          res,
          { code: 'forbidden', title: '没有这项操作的权限', title_en: 'Your role does not allow this' },
          403,
        )
      const key = req.headers['idempotency-key']
      const known = credentials.get(issue[1])
      const replayed = known?.key === key
      credentials.set(issue[1], {
        device: issue[1],
        gateway: null,
        behind: [],
        active: req.method === 'POST',
        since: Date.now(),
        by: 'chief',
        key,
      })
      if (req.method === 'DELETE') return json(res, { position: { log_id: 7, seq: 1 }, refs: {}, replayed })
      return json(res, {
        position: { log_id: 7, seq: 1 },
        replayed,
        user: issue[1],
        password: replayed ? null : `wq7TnKm4pYxR2vHd9sJc3bf${requests.length % 9}`,
      })
    }
    if (req.method === 'GET') return json(res, [])
    const step = /^\/tasks\/(\d+)\/([a-z-]+)$/.exec(path)
    if (step) taskStep(Number(step[1]), step[2], JSON.parse(body || '{}'))
    const taken = /^\/(incidents|alarms)\/(\d+)\/(attend|confirm)$/.exec(path)
    if (taken?.[1] === 'incidents') attend(Number(taken[2]), JSON.parse(body || '{}'))
    else if (taken) confirm(Number(taken[2]))
    if (path === '/photos') return json(res, { blob: 'p1' })
    return json(res, { position: { log_id: 7, seq: 1 }, refs: { incident: 3100 }, replayed: false })
  }
  /** Task steps take effect, as far as screens must see them. */
  let held = snapshot(site, scenario, Date.now())
  const feeds = new Set()
  function taskStep(id, step, body) {
    const state = held.states.find(
      (s) => s.kind.case === 'incident' && s.kind.value.tasks.some((t) => Number(t.id) === id),
    )
    const task = state?.kind.value.tasks.find((t) => Number(t.id) === id)
    if (task === undefined) return
    const [name, at] =
      {
        receipt: ['delivered', 'delivered'],
        acknowledge: ['acknowledged', 'acknowledged'],
        'en-route': ['en_route', 'enRoute'],
        'on-scene': ['on_scene', 'onScene'],
        feedback: ['done', 'ended'],
      }[step] ?? []
    if (name === undefined) return
    const moment = BigInt(body.at ?? Date.now())
    const by = { kind: 'unit', id: task.unit }
    const support = body.result === 'need_support'
    if (!support) {
      task.state = name
      task[at] = moment
    }
    const told = open(task)
    if (step === 'feedback')
      told.feedback = [...task.feedback, { at: moment, by, result: body.result, text: { value: body.text ?? '' } }]
    const { value } = state.kind
    const asked = { why: 'support', task: task.id, since: BigInt(Date.now()) }
    const change = {
      tasks: value.tasks.map((t) => (t === task ? told : t)),
      attention: support ? [...value.attention, asked] : value.attention,
    }
    state.kind.value = create(feed.IncidentSchema, { ...open(value), ...change })
    tell([state.kind], {
      by,
      kind: step === 'feedback' ? 'task_feedback' : `task_${name}`,
      incident: value.id,
      task: task.id,
      unit: task.unit,
    })
  }
  /** Server time. */
  let shift = 0
  const clock = () => Date.now() + shift
  const find = (kind, id) => held.states.find((s) => s.kind.case === kind && Number(s.kind.value.id) === id)
  /** Sends states to all screens in one frame, with the event that made them, if any; what they held of the same ids is replaced. */
  function tell(kinds, event) {
    const after = held.seq
    const items = kinds.map((kind) => {
      held.seq += 1n
      const state = create(feed.StateSchema, { rev: held.seq, kind })
      const before = find(kind.case, Number(kind.value.id))
      if (before === undefined) held.states.push(state)
      else Object.assign(before, { rev: state.rev, kind: state.kind })
      return { state, ...(event ? { event: { seq: held.seq, at: BigInt(clock()), ...event } } : {}) }
    })
    for (const send of feeds)
      send({ case: 'frame', value: { logId: held.logId, after, upto: held.seq, serverTime: BigInt(clock()), items } })
  }
  /** A message as what one is made of, so that its parts may be given plainly. */
  const open = ({ $typeName, ...fields }) => fields
  /** Changes an incident, and tells so to all who follow. */
  function alter(id, change, happened) {
    const kind = find('incident', id)
    kind.kind.value = create(feed.IncidentSchema, { ...open(kind.kind.value), ...change })
    tell([kind.kind], happened && { incident: BigInt(id), ...happened })
  }
  /** A person takes a case: what sounds is silent, what units ask for stays marked until a reason answers it. */
  function attend(id, { text }) {
    const kind = find('incident', id)?.kind
    if (kind === undefined) return
    kind.value.attention = kind.value.attention.filter((e) => ['support', 'declined'].includes(e.why) && !text)
    for (const e of kind.value.attention) {
      e.taken ||= BigInt(clock())
      e.takenBy ??= create(feed.BySchema, { kind: 'account', id: 'duty' })
    }
    tell([kind], { kind: 'attended', incident: BigInt(id) })
  }
  function confirm(id) {
    const kind = find('alarm', id)?.kind
    if (kind === undefined) return
    kind.value.confirmed = BigInt(clock())
    tell([kind], { kind: 'alarm_confirmed', alarm: BigInt(id) })
  }
  const sockets = new WebSocketServer({ server, handleProtocols: (p) => [...p][0] })
  const timers = new Set()
  /** Cameras whose pictures come no more although nobody says why. */
  const stalled = new Set()
  sockets.on('connection', (socket, req) =>
    req.url.startsWith('/api/v1/media') ? mediaSocket(socket) : feedSocket(socket),
  )

  /** Whether it knows of its log: heartbeats come, as from a gateway that reaches its store. */
  let knows = true
  const beat = () => ({
    case: 'heartbeat',
    value: { logId: held.logId, head: held.seq, serverTime: BigInt(clock()) },
  })
  timers.add(
    setInterval(() => {
      for (const send of feeds) if (knows) send(beat())
    }, 500),
  )
  function feedSocket(socket) {
    const send = (kind) =>
      socket.readyState === 1 &&
      socket.send(toBinary(feed.ServerMessageSchema, create(feed.ServerMessageSchema, { kind })))
    socket.on('message', (data) => {
      const m = fromBinary(feed.ClientMessageSchema, new Uint8Array(data))
      if (m.kind.case === 'hello') {
        send({ case: 'snapshot', value: { ...held, serverTime: BigInt(clock()) } })
        send(beat())
        feeds.add(send)
        socket.on('close', () => feeds.delete(send))
      } else if (!stepped)
        send({ case: 'pong', value: { clientTime: m.kind.value.clientTime, serverTime: BigInt(clock()) } })
    })
  }
  function mediaSocket(socket) {
    const { Kind, ServerMessageSchema, ClientMessageSchema } = mediaPb
    const streams = new Map()
    const send = (value) =>
      socket.readyState === 1 &&
      socket.send(
        toBinary(ServerMessageSchema, create(ServerMessageSchema, { serverTime: BigInt(Date.now()), ...value })),
      )
    let n = 0
    const timer = setInterval(() => {
      n++
      for (const [stream, { from, camera }] of streams) {
        if (stalled.has(camera)) continue
        const i = n - from
        send({
          stream,
          generation: 1,
          kind: Kind.FRAGMENT,
          key: i % 24 === 0,
          captureTime: BigInt(Date.now() - 80),
          payload: fragmentAt(moving, i),
        })
      }
    }, 1000 / 12)
    timers.add(timer)
    socket.on('close', () => clearInterval(timer))
    socket.on('message', (data) => {
      const { kind } = fromBinary(ClientMessageSchema, new Uint8Array(data))
      if (kind.case === 'subscribe') {
        const { stream, camera } = kind.value
        if (full > 0) {
          full--
          return send({ stream, kind: Kind.ERROR, error: 'busy' })
        }
        const number = Number(camera.slice(1))
        if (scenario === 'fire' && number % 40 === 7)
          return send({
            stream,
            kind: Kind.STATE,
            state: 'unreachable',
            causeZh: '连接不上',
            since: BigInt(Date.now() - 9e4),
          })
        streams.set(stream, { from: n + 1, camera })
        send({
          stream,
          generation: 1,
          kind: Kind.INIT,
          codec: 'avc1.42c01e',
          width: 640,
          height: 360,
          payload: moving.init,
        })
      } else if (kind.case === 'unsubscribe') streams.delete(kind.value.stream)
      else if (kind.case === 'sheet' && kind.value.on)
        send({
          kind: Kind.SHEET,
          payload: moving.jpeg,
          sheet: {
            version: 1n,
            tileWidth: 160,
            tileHeight: 90,
            columns: 16,
            tiles: site.cameras.map((c) => ({ camera: c.id, captured: BigInt(Date.now()) })),
          },
        })
    })
  }
  await new Promise((done) => server.listen(port, '127.0.0.1', done))
  const address = `http://127.0.0.1:${server.address().port}`
  return {
    address,
    requests,
    tell,
    /** What screens hold of an incident or an alarm. */
    find: (kind, id) => find(kind, id)?.kind.value,
    now: clock,
    site,
    /** The server's time goes on by so many milliseconds, with what happened then. */
    step(ms, kinds = []) {
      shift += ms
      tell(kinds)
    },
    alter,
    /** From now on this camera's pictures come no more, and nobody says why. */
    stall: (camera) => stalled.add(camera),
    /** From now on it answers, and cannot say where its log is. */
    forget() {
      knows = false
    },
    async close() {
      for (const t of timers) clearInterval(t)
      for (const c of sockets.clients) c.terminate()
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
      await vite.close()
    },
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { address } = await start({ scenario: process.argv[2] ?? 'fire', port: Number(process.argv[3] ?? 0) })
  console.log(address)
}
