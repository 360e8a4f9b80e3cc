// The end-to-end suite: the real binary, a real broker, real cameras, a real browser. One file after the other, because
// each has a whole centre of its own and the machine has two cores.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  root: import.meta.dirname,
  test: {
    environment: 'node',
    include: ['*.test.ts'],
    fileParallelism: false,
    pool: 'forks',
    testTimeout: 300_000,
    // Time-outs are for machines that are slow, not for waiting: everything waits for a condition.
    hookTimeout: 600_000,
    bail: 1,
    reporters: ['verbose'],
  },
})
