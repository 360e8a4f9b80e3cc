// The client against the real gateway: the built binary, `target/debug/maojiawan` or $MAOJIAWAN.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  root: import.meta.dirname,
  test: {
    environment: 'node',
    include: ['tests/real/*.test.ts'],
    fileParallelism: false,
    pool: 'forks',
    // Time-outs are for machines that are slow, not for waiting: everything waits for a condition.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 120_000 } },
    bail: 1,
    reporters: ['verbose'],
  },
})
