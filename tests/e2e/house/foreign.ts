// A camera that is not ours: GStreamer's RTSP server in a child process.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const USER = 'viewer'
const PASSWORD = 'a-password-of-its-own'

export class Foreign {
  readonly user = USER
  readonly password = PASSWORD
  private constructor(
    private readonly child: ChildProcess,
    private readonly port: number,
  ) {}

  static async start(): Promise<Foreign> {
    const child = spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', '--', '/usr/bin/python3', join(import.meta.dirname, 'foreign.py'), USER, PASSWORD],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    )
    const lines = createInterface({ input: child.stdout! })
    const [line] = (await Promise.race([
      once(lines, 'line'),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`the foreign camera ended with ${code}`))),
    ])) as [string]
    return new Foreign(child, Number(line))
  }

  get url(): string {
    return `rtsp://127.0.0.1:${this.port}/cam`
  }

  async stop(): Promise<void> {
    const ended = once(this.child, 'exit')
    this.child.stdin?.end()
    await ended
  }
}
