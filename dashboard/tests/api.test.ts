import { afterEach, expect, it, vi } from 'vitest'
import { api, command } from '../src/lib/api'

afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

it('gives up a call that nobody answers, so that it can be tried again', async () => {
  vi.useFakeTimers()
  // A network that swallows everything.
  vi.stubGlobal(
    'fetch',
    (_: string, { signal }: RequestInit) =>
      new Promise((_, failed) => signal?.addEventListener('abort', () => failed(new Error('aborted')))),
  )
  const ends: string[] = []
  const note = (what: string) => (e: { status: number }) => void ends.push(`${what} ${e.status}`)
  command('/tasks/1/acknowledge').catch(note('step'))
  api.photo(1, new Blob(['x']), 'k').catch(note('photo'))
  await vi.advanceTimersByTimeAsync(59_000)
  expect(ends).toEqual([])
  await vi.advanceTimersByTimeAsync(2_000)
  expect(ends).toEqual(['step 0'])
  await vi.advanceTimersByTimeAsync(120_000)
  expect(ends).toEqual(['step 0', 'photo 0'])
})
