// A client at the real gateway, with everything that it tells, and a model of its own.
import WebSocket from 'ws'
import { dialWith, FeedClient, type FeedNote, type FeedOptions, type FeedState } from '../../src'
import type { Centre } from '../../../../tests/e2e/house/centre'
import type { Person } from '../../../../tests/e2e/house/people'
import { until } from '../../../../tests/e2e/house/wait'
import { Model } from '../world'

export class Follower {
  readonly model = new Model()
  readonly notes: FeedNote[] = []
  /** Sequence numbers of events, and incidents that they are about. */
  readonly events: { seq: number; incident: number }[] = []
  readonly client: FeedClient

  constructor(centre: Centre, cookie: string, options: Partial<FeedOptions> = {}) {
    const own = `ws://127.0.0.1:${centre.port}/api/v1/feed`
    const dial = dialWith(
      (address, protocol) => new WebSocket(address, protocol, { headers: { cookie }, origin: centre.address }),
    )
    this.model.onEvent = (e) => this.events.push({ seq: e.seq, incident: e.incident })
    this.client = new FeedClient(this.model, { addresses: [own], dial, ...options })
    this.client.on((note) => this.notes.push(note))
    this.client.start()
  }
  get states(): FeedState[] {
    return this.notes.flatMap((n) => (n.kind === 'state' ? [n.state] : []))
  }
  count(kind: FeedNote['kind']): number {
    return this.notes.filter((n) => n.kind === kind).length
  }
  /** The position of the first snapshot. */
  get began(): number {
    const first = this.notes.find((n) => n.kind === 'snapshot')
    return first === undefined ? 0 : Number(first.at.seq)
  }
  async is(name: FeedState['name'], seconds = 60): Promise<FeedState> {
    return until(
      `the client is ${name}`,
      () => {
        if (this.client.state.name !== name) throw new Error(JSON.stringify(this.client.state))
        return this.client.state
      },
      seconds,
    )
  }
  /** The first state of this name after the first `from` states, however short it was. */
  async was(name: FeedState['name'], from: number, seconds = 60): Promise<FeedState> {
    return until(
      `the client was ${name}`,
      () => {
        const found = this.states.slice(from).find((s) => s.name === name)
        if (found === undefined) throw new Error(JSON.stringify(this.states.slice(from)))
        return found
      },
      seconds,
    )
  }
  async reaches(seq: number): Promise<void> {
    await until(`the client is live at ${seq}`, () => {
      if (this.client.state.name !== 'live' || this.client.position.seq < BigInt(seq))
        throw new Error(`${JSON.stringify(this.client.state)} at ${this.client.position.seq}`)
      return true
    })
  }
}

/** All incidents of the REST interface. */
export async function incidents(who: Person): Promise<{ id: number }[]> {
  const all: { id: number }[] = []
  for (let before: number | null = 0; before !== null;) {
    const page: { items: { id: number }[]; next: number | null } = await who.get(
      `/incidents?limit=200${before === 0 ? '' : `&before=${before}`}`,
    )
    all.push(...page.items)
    before = page.next
  }
  return all.sort((a, b) => a.id - b.id)
}
