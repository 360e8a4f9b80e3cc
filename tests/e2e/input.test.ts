// Bad input to every endpoint that the contract names, made from the contract itself: each is refused with a problem that
// a person can read, nothing is written, and nothing breaks. A centre without demo, so that its log stands still.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Centre } from './house/centre'
import { Person, signed } from './house/people'
import { Feed } from './house/sockets'
import { until } from './house/wait'

const SECRET = 'a-secret-of-this-test-only'
const CONFIG = `
[log]
filter = "warn"
[sensing]
port = 0
[exchange.sms]
secret = "${SECRET}"
[[exchange.departments]]
unit = "fire"
secret = "${SECRET}"
[[accounts]]
id = "chief"
role = "shift_chief"
name = "值班长"
password_file = "$DIR/password"
[[accounts]]
id = "clerk"
role = "department_clerk"
name = "经办人"
unit = "fire"
password_file = "$DIR/password"
[[accounts]]
id = "screen"
role = "wall_display"
name = "大屏"
password_file = "$DIR/password"
`

interface Schema {
  type?: string | string[]
  $ref?: string
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  enum?: unknown[]
  oneOf?: Schema[]
  allOf?: Schema[]
  minimum?: number
  additionalProperties?: unknown
}
interface Parameter {
  name: string
  in: 'path' | 'query' | 'header'
  required?: boolean
  schema: Schema
}
interface Operation {
  parameters?: Parameter[]
  requestBody?: { content: Record<string, { schema: Schema }> }
  security?: object[]
}
interface Contract {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}

let centre: Centre
let chief: Person
let contract: Contract
let tried = 0

beforeAll(async () => {
  centre = await Centre.start(CONFIG, {
    demo: false,
    files: { password: 'a password of this test\n' },
  })
  chief = await Person.login(centre, 'chief', 'a password of this test')
  contract = await chief.get<Contract>('/openapi.json')
  await until('the broker is up', async () =>
    (await centre.dependencies()).some((d) => d.name === 'broker' && d.state === 'up'),
  )
})
afterAll(() => centre?.stop())

async function listen(): Promise<{ feed: Feed; from: bigint }> {
  const feed = new Feed(centre, chief)
  await feed.connect()
  return { feed, from: feed.cursor }
}

/** What has been written since, but for the steps of the centre's own patrols: their clock goes on during a test. */
async function written({ feed, from }: Awaited<ReturnType<typeof listen>>): Promise<string[]> {
  const now = (await listen()).from
  await until('the feed is as far as the log', () => feed.cursor >= now)
  expect(feed.gaps).toEqual([])
  // Nothing lies in the log that the shift chief does not see.
  expect(feed.cursor - from).toBe(BigInt(feed.events.length))
  return feed.events.map((e) => e.kind).filter((kind) => !kind.startsWith('patrol_'))
}

/** Whether the answer is a problem as the contract says; a list of what is wrong with it. */
async function wrongs(answer: Response, what: string): Promise<string[]> {
  tried++
  const text = await answer.text()
  const found: string[] = []
  if (answer.status < 400 || answer.status > 499) found.push(`status ${answer.status}`)
  if (!answer.headers.get('content-type')?.startsWith('application/problem+json'))
    found.push(`type ${answer.headers.get('content-type')}`)
  else {
    const body = JSON.parse(text) as {
      title?: string
      status?: number
      code?: string
      type?: string
    }
    if (!/\p{Script=Han}/u.test(body.title ?? '')) found.push('no Chinese title')
    if (body.status !== answer.status) found.push('status differs')
    if (!/^[a-z_]+$/.test(body.code ?? '') || !body.type) found.push('no code or type')
  }
  return found.map((f) => `${what}: ${f} ${text.slice(0, 160)}`)
}

const resolve = (schema: Schema): Schema => {
  if (schema.$ref !== undefined) {
    const named = contract.components.schemas[schema.$ref.split('/').at(-1)!]
    if (named === undefined) throw new Error(`the contract lacks ${schema.$ref}`)
    return resolve(named)
  }
  const real = schema.oneOf?.find((s) => s.type !== 'null')
  if (real !== undefined && schema.oneOf!.every((s) => s.type === 'null' || s.$ref !== undefined)) return resolve(real)
  return schema
}
const typesOf = (schema: Schema): string[] => {
  const s = resolve(schema)
  const own = s.type === undefined ? [] : [s.type].flat()
  return schema.oneOf?.some((x) => x.type === 'null') ? [...own, 'null'] : own
}

/** A body with all that is required and nothing else. */
function sample(schema: Schema): unknown {
  const s = resolve(schema)
  if (s.enum !== undefined) return s.enum[0]
  if (s.oneOf !== undefined) return sample(s.oneOf[0]!)
  switch (typesOf(schema)[0]) {
    case 'object':
      return Object.fromEntries((s.required ?? []).map((k) => [k, sample(s.properties![k]!)]))
    case 'array':
      return []
    case 'integer':
    case 'number':
      return s.minimum ?? 1
    case 'boolean':
      return true
    default:
      return 'x'
  }
}

/** Bodies that the schema does not allow, with a word on each. */
function spoilt(schema: Schema): [string, string][] {
  const s = resolve(schema)
  const good = sample(schema) as Record<string, unknown>
  const bodies: [string, string][] = [
    '{',
    '[1',
    '[]',
    'null',
    '7',
    '"x"',
    'NaN',
    '{"a":1}{',
    '\u0000',
    '{"nonsense":1}',
  ].map((b) => [b, b])
  bodies.push(['200 levels deep', '['.repeat(200) + ']'.repeat(200)])
  for (const [name, property] of Object.entries(s.properties ?? {})) {
    const allowed = typesOf(property)
    const wrong: [string, unknown][] = [
      ['string', 'no such thing \u0007'],
      ['number', -1.5],
      ['number', 1e300],
      ['boolean', true],
      ['array', [[]]],
      ['object', { nonsense: 1 }],
      ['null', null],
    ]
    for (const [type, value] of wrong) {
      const fits =
        allowed.includes(type) || (type === 'number' && allowed.includes('integer') && Number.isInteger(value))
      if (fits && !(resolve(property).enum !== undefined && type === 'string') && type !== 'array' && type !== 'object')
        continue
      bodies.push([`${name} = ${JSON.stringify(value)}`, JSON.stringify({ ...good, [name]: value })])
    }
    if (allowed.includes('string') && resolve(property).enum === undefined)
      bodies.push([`${name} too long`, JSON.stringify({ ...good, [name]: '长'.repeat(2_001) })])
    if (s.required?.includes(name))
      bodies.push([`no ${name}`, JSON.stringify(Object.fromEntries(Object.entries(good).filter(([k]) => k !== name)))])
  }
  return bodies
}

const IDS: Record<string, string[]> = {
  integer: ['999999', '0', '-1', '1.5', 'abc', '18446744073709551616', '%00', '..%2f..%2fetc', 'x'.repeat(3_000)],
  string: ['ghost', '%00', '..%2f..%2fetc%2fpasswd', '%e5%85%ab', "'%20or%201=1--", 'x'.repeat(3_000)],
}
const operations = (): [string, string, Operation][] =>
  Object.entries(contract.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([m]) => ['get', 'post', 'put', 'delete'].includes(m))
      .map(([m, o]): [string, string, Operation] => [m.toUpperCase(), path, o]),
  )
const idOf = (o: Operation): Parameter | undefined => o.parameters?.find((p) => p.in === 'path')
const at = (path: string, id = '999999'): string => path.replace('{id}', id)
const JSON_TYPE = { 'content-type': 'application/json' }
const keyed = (o: Operation): boolean => o.parameters?.some((p) => p.name === 'Idempotency-Key') === true

test('every endpoint refuses bad input, and the log stays as it is', async () => {
  const before = await listen()
  const found: string[] = []
  const check = async (
    method: string,
    path: string,
    what: string,
    given: Parameters<Person['ask']>[2] = {},
  ): Promise<void> => {
    found.push(...(await wrongs(await chief.ask(method, path, given), `${method} ${path.slice(0, 80)} ${what}`)))
  }
  expect(operations().length).toBeGreaterThan(45)
  for (const [method, path, o] of operations()) {
    // Who is not logged in gets nothing, whatever they send.
    if (!o.security?.some((s) => Object.keys(s).length === 0))
      found.push(
        ...(await wrongs(
          await fetch(centre.address + at(path), {
            method,
            ...(method === 'GET'
              ? {}
              : {
                  body: '{}',
                  headers: { ...JSON_TYPE, 'idempotency-key': 'k' },
                }),
          }),
          `${method} ${path} nobody`,
        )),
      )
    const id = idOf(o)
    const body = o.requestBody?.content['application/json']
    if (id !== undefined)
      for (const value of IDS[typesOf(id.schema)[0] ?? 'string'] ?? IDS['string']!)
        await check(
          method,
          at(path, value),
          'unknown id',
          method === 'GET'
            ? {}
            : {
                body: JSON.stringify(body ? sample(body.schema) : {}),
                key: 'k',
                headers: JSON_TYPE,
              },
        )
    for (const query of o.parameters?.filter((p) => p.in === 'query') ?? []) {
      const bad = typesOf(query.schema).includes('integer')
        ? ['abc', '-1', '1e99', '', '99999999999999999999999']
        : resolve(query.schema).enum
          ? ['never', '%00']
          : []
      for (const value of bad) await check(method, `${at(path)}?${query.name}=${value}`, 'query')
      if (query.required) await check(method, at(path), `without ${query.name}`)
    }
    if (method === 'GET' && /\/(feed|media)$/.test(path)) await check(method, path, 'no upgrade')
    if (body === undefined) continue
    // Login is counted by account: nobody real is locked out.
    for (const [what, bad] of spoilt(body.schema))
      await check(method, at(path), what, {
        body: bad,
        key: 'k',
        headers: JSON_TYPE,
      })
    await check(method, at(path), 'too large', {
      body: `{"text":"${'x'.repeat(70_000)}"}`,
      key: 'k',
      headers: JSON_TYPE,
    })
    await check(method, at(path), 'not JSON by its type', {
      body: '{}',
      key: 'k',
      headers: { 'content-type': 'text/plain' },
    })
    await check(method, at(path), 'bytes that are no text', {
      body: Buffer.from([0xff, 0xfe, 0x7b]),
      key: 'k',
      headers: JSON_TYPE,
    })
    await check(method, at(path), 'from elsewhere', {
      body: JSON.stringify(sample(body.schema)),
      key: 'k',
      headers: { ...JSON_TYPE, origin: 'http://elsewhere.example' },
    })
    if (keyed(o))
      for (const key of [undefined, '', 'with space', 'k'.repeat(200)])
        await check(method, at(path), `key ${key?.slice(0, 12)}`, {
          body: JSON.stringify(sample(body.schema)),
          headers: JSON_TYPE,
          ...(key === undefined ? {} : { key }),
        })
  }
  for (const [method, path] of [
    ['PATCH', '/api/v1/incidents'],
    ['DELETE', '/api/v1/site'],
    ['GET', '/api/v1/nothing'],
    ['POST', '/healthz'],
  ] as const)
    await check(method, path, 'no such thing')
  const photo = { key: 'k', headers: { 'content-type': 'image/jpeg' } }
  for (const [what, body] of [
    ['nothing', ''],
    ['no picture', 'x'.repeat(100)],
    ['a start only', Buffer.from([0xff, 0xd8, 0xff, 0xe0])],
    ['too large', Buffer.alloc(7 << 20, 0xff)],
  ] as const)
    await check('POST', '/api/v1/photos?incident=999999', what, {
      ...photo,
      body,
    })

  expect(found).toEqual([])
  expect(tried).toBeGreaterThan(1_000)
  expect(await written(before)).toEqual([])
})

test('roles are refused what is not theirs', async () => {
  const before = await listen()
  const found: string[] = []
  for (const account of ['clerk', 'screen']) {
    const who = await Person.login(centre, account, 'a password of this test')
    for (const [method, path, o] of operations()) {
      const body = o.requestBody?.content['application/json']
      if (method !== 'POST' || path === '/api/v1/session' || body === undefined) continue
      const answer = await who.ask(method, at(path), {
        body: JSON.stringify(sample(body.schema)),
        key: 'k',
        headers: JSON_TYPE,
      })
      found.push(...(await wrongs(answer, `${account} ${method} ${path}`)))
    }
  }
  expect(found).toEqual([])
  expect(await written(before)).toEqual([])
})

test('calls that are not signed, and signed nonsense', async () => {
  const before = await listen()
  const found: string[] = []
  const good = JSON.stringify({
    type: 'report',
    class: 'fire_lane',
    place_text: '12栋1单元',
  })
  const send = async (path: string, body: string, headers: Record<string, string>, what: string): Promise<void> => {
    found.push(
      ...(await wrongs(
        await fetch(`${centre.address}/api/v1/exchange${path}`, {
          method: 'POST',
          headers,
          body,
        }),
        `${path} ${what}`,
      )),
    )
  }
  const without = (name: string): Record<string, string> =>
    Object.fromEntries(Object.entries(signed(SECRET, good)).filter(([k]) => k !== name))
  for (const path of ['/fire/inbound', '/sms/inbound']) {
    await send(path, good, JSON_TYPE, 'unsigned')
    await send(path, good, signed('another secret, of nobody', good), 'wrong secret')
    await send(path, `${good} `, signed(SECRET, good), 'another body')
    await send(path, good, { ...signed(SECRET, good), 'x-timestamp': '1000000000' }, 'long ago')
    await send(path, good, { ...signed(SECRET, good), 'x-signature': 'v1=zz' }, 'no signature')
    for (const name of ['x-timestamp', 'x-signature']) await send(path, good, without(name), `without ${name}`)
    await send(path, 'x'.repeat(70_000), signed(SECRET, 'x'.repeat(70_000)), 'too large')
  }
  await send('/fire/inbound', good, without('idempotency-key'), 'without a key')
  await send('/ghost/inbound', good, signed(SECRET, good), 'unknown department')
  await send('/fire/nothing', good, signed(SECRET, good), 'unknown address')
  expect(found).toEqual([])
  // Whoever called, a person sees that somebody did, and nothing else happens.
  expect(new Set(await written(before))).toEqual(new Set(['message_kept']))

  // What is signed and unreadable is a fact about the department besides, and the only other thing that is written.
  const bodies = [
    '',
    '{',
    '[]',
    'null',
    '{}',
    '{"type":"dance"}',
    '{"type":"report","class":"fire_lane"}',
    '{"type":"report","class":"no","place_text":"12栋"}',
    '{"type":"report","class":"fire_lane","place_text":"月球"}',
    '{"type":"task_update","task":999999,"step":"acknowledge"}',
    '{"type":"task_update","task":-1,"step":"acknowledge"}',
    '{"type":"records","kind":"x","records":7}',
  ]
  for (const body of bodies) await send('/fire/inbound', body, signed(SECRET, body), body)
  for (const body of ['{', '{"id":"1"}', '{"id":"1","text":" "}', '{"id":"1","from":"13800000000"}'])
    await send('/sms/inbound', body, signed(SECRET, body), body)
  expect(found).toEqual([])
  expect(new Set(await written(before))).toEqual(new Set(['unreadable', 'message_kept']))
})

test('it still runs, and has said nothing', async () => {
  expect((await centre.dependencies()).filter((d) => d.state !== 'up')).toEqual([])
  expect(centre.unannounced()).toEqual([])
})
