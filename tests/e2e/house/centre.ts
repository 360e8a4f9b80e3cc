// The real binary on a free port with data of its own. It is stopped by its pid, must end in order, leave no child
// behind, and have said nothing in its log that a test did not announce.
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from './wait'

export const ROOT = join(import.meta.dirname, '../../..')
const BINARY = process.env['MAOJIAWAN'] ?? join(ROOT, 'target/debug/maojiawan')
/** The films of the simulated cameras, encoded once for all tests. */
export const FILMS = join(ROOT, 'target/films')

export const DEMO = `
[log]
filter = "warn,retina=error"
[gateway]
dashboard = "${ROOT}/dashboard/dist"
[demo]
pace = 0.2
ordinary_minutes = 0
records_minutes = 0
films = "${FILMS}"
`

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as { port: number }
  await new Promise((done) => server.close(done))
  return port
}

export interface Dependency {
  name: string
  state: string
  detail?: string
}

export class Centre {
  private process: ChildProcess | undefined
  /** Everything written to standard error, which is the log. */
  readonly log: string[] = []
  /** How long a disk takes is no matter of these tests. */
  private announced: RegExp[] = [/ WARN slow statement: /]
  private constructor(
    readonly folder: string,
    readonly port: number,
    private readonly config: string,
    private readonly demo: boolean,
  ) {}

  /** A centre with this configuration; `files` are written beside it, and `$DIR` in the configuration is their folder. */
  static async start(
    config: string,
    { demo = true, files = {} }: { demo?: boolean; files?: Record<string, string> } = {},
  ): Promise<Centre> {
    const folder = mkdtempSync(join(tmpdir(), 'maojiawan-e2e-'))
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
    const centre = new Centre(folder, await freePort(), config.replaceAll('$DIR', folder), demo)
    await centre.up()
    return centre
  }

  get address(): string {
    return `http://127.0.0.1:${this.port}`
  }
  get data(): string {
    return join(this.folder, 'data')
  }
  get pid(): number {
    const pid = this.process?.pid
    if (pid === undefined) throw new Error('the centre does not run')
    return pid
  }

  /** Starts the process on the same port and data, and waits until it answers. */
  async up(): Promise<void> {
    const file = join(this.folder, 'centre.toml')
    writeFileSync(file, this.config)
    const given = [
      'up',
      '--config',
      file,
      '--listen',
      `127.0.0.1:${this.port}`,
      '--data',
      this.data,
      ...(this.demo ? ['--demo'] : []),
    ]
    // It ends with this process, however that ends.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', BINARY, ...given], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.process = child
    for (const stream of [child.stdout, child.stderr]) {
      let rest = ''
      stream.setEncoding('utf8').on('data', (text: string) => {
        const lines = (rest + text).split('\n')
        rest = lines.pop() ?? ''
        if (stream === child.stderr) this.log.push(...lines.filter((l) => l.trim() !== ''))
      })
    }
    await until(
      'the centre answers',
      async () => {
        if (child.exitCode !== null)
          throw new Error(`it ended with ${child.exitCode}: ${this.log.slice(-5).join('\n')}`)
        return (await fetch(`${this.address}/readyz`)).ok
      },
      60,
    )
  }

  async dependencies(): Promise<Dependency[]> {
    return ((await (await fetch(`${this.address}/readyz`)).json()) as { dependencies: Dependency[] }).dependencies
  }

  /** Waits until all dependencies are up: cameras, broker, simulated site. The first run of a clone encodes films. */
  async allUp(seconds = 500): Promise<void> {
    await until(
      'everything is up',
      async () => {
        const waiting = (await this.dependencies()).filter((d) => d.state !== 'up')
        if (waiting.length > 0) throw new Error(waiting.map((d) => `${d.name} ${d.state} ${d.detail ?? ''}`).join(', '))
        return true
      },
      seconds,
    )
  }

  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.address}/metrics`)).text()
    const lines = text.split('\n').filter((l) => l.startsWith(name) && /^[ {]/.test(l.slice(name.length)))
    return lines.reduce((sum, l) => sum + Number(l.split(' ').at(-1)), 0)
  }

  /** Pids of children, and of theirs, whose command line contains all these words. */
  children(...words: string[]): number[] {
    const all = readdirSync('/proc')
      .filter((n) => /^\d+$/.test(n))
      .map(Number)
    const facts = new Map<number, { parent: number; command: string }>()
    for (const pid of all) {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
        const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ')
        if (state !== 'Z') facts.set(pid, { parent: Number(parent), command })
      } catch {
        // It ended while we looked.
      }
    }
    const ours = (pid: number): boolean => {
      const parent = facts.get(pid)?.parent ?? 0
      return parent === this.process?.pid || (parent > 1 && ours(parent))
    }
    return [...facts].filter(([pid, f]) => ours(pid) && words.every((w) => f.command.includes(w))).map(([pid]) => pid)
  }

  /** Kills it as a power failure would. Its children must die with it. */
  async kill(): Promise<void> {
    const children = this.children()
    const child = this.process
    process.kill(this.pid, 'SIGKILL')
    await until('it is dead', () => child?.signalCode === 'SIGKILL' || child?.exitCode !== null)
    await gone(children)
    this.process = undefined
  }

  /** Log lines that the coming test causes; any other line of WARN or above, and any panic, fails it. */
  announce(...lines: RegExp[]): void {
    this.announced.push(...lines)
  }
  unannounced(): string[] {
    return this.log.filter((line) => !this.announced.some((known) => known.test(line)))
  }

  /** Ends it in order: exit code 0, no child left, nothing unannounced in the log. */
  async stop(): Promise<void> {
    const child = this.process
    if (child !== undefined) {
      const children = this.children()
      child.kill('SIGTERM')
      await until('it ends in order', () => child.exitCode !== null || child.signalCode !== null, 40)
      await gone(children)
      if (child.exitCode !== 0)
        throw new Error(`exit code ${child.exitCode} ${child.signalCode ?? ''}: ${this.log.slice(-5).join('\n')}`)
    }
    const said = this.unannounced()
    if (said.length > 0) throw new Error(`unlisted log lines:\n${said.slice(0, 20).join('\n')}`)
    if (existsSync(this.folder)) rmSync(this.folder, { recursive: true, force: true })
  }

  /** A value of the file that the demo wrote for its simulated site: addresses and secrets of this run. */
  site(): SiteFile {
    const text = readFileSync(join(this.data, 'simulator.toml'), 'utf8')
    const value = (key: string): string => {
      const found = new RegExp(`^${key} = "?([^"\\n]*)"?$`, 'm').exec(text)?.[1]
      if (found === undefined) throw new Error(`no ${key} in simulator.toml`)
      return found
    }
    return {
      listen: value('listen'),
      token: value('token'),
      smsSecret: value('sms_secret'),
      departmentSecret: value('police'),
      brokerUser: value('user'),
      brokerPassword: /\[simulator\.broker\][^[]*?password = "([^"]*)"/.exec(text)?.[1] ?? '',
      brokerPort: Number(/\[simulator\.broker\][^[]*?port = (\d+)/.exec(text)?.[1] ?? 0),
    }
  }
}

export interface SiteFile {
  listen: string
  token: string
  smsSecret: string
  departmentSecret: string
  brokerUser: string
  brokerPassword: string
  brokerPort: number
}

async function gone(pids: number[]): Promise<void> {
  await until(
    `children ${pids.join(' ')} are gone`,
    () =>
      pids.every((pid) => !existsSync(`/proc/${pid}`) || readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')),
    15,
  )
}
