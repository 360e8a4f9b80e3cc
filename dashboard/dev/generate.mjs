// Regenerates src/generated and client/src/generated from ../proto with buf and protoc-gen-es, both from npm, and REST types from openapi.json.
// `--check` writes to a temporary folder and compares instead.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const bin = (name) => join(root, 'node_modules/.bin', name)
/** The compiler's own package: the wrapper asks for platforms that need not be there. */
const buf = join(root, `node_modules/@bufbuild/buf-linux-${process.arch === 'arm64' ? 'aarch64' : 'x64'}/bin/buf`)

/** Folders below the dashboard that hold nothing else. What is stored is no business of the screens: two of the files. */
const FOLDERS = { 'client/src/generated': 'feed.proto', 'src/generated': 'media.proto' }

function messages(file, out) {
  const template = JSON.stringify({
    version: 'v2',
    inputs: [{ directory: '../proto', paths: [`../proto/${file}`] }],
    plugins: [{ local: bin('protoc-gen-es'), out, opt: ['target=ts', 'import_extension=none'] }],
  })
  execFileSync(buf, ['generate', '--template', template], { cwd: root, stdio: 'pipe' })
}

/** Writes below `base`, which looks like the dashboard's folder. */
export function generate(base) {
  for (const [folder, file] of Object.entries(FOLDERS)) messages(file, join(base, folder))
  if (existsSync(join(root, 'openapi.json'))) {
    // Names of operations repeat between groups of the document; paths say the same and do not.
    const document = JSON.parse(readFileSync(join(root, 'openapi.json'), 'utf8'))
    for (const path of Object.values(document.paths))
      for (const operation of Object.values(path)) delete operation.operationId
    const plain = join(mkdtempSync(join(tmpdir(), 'openapi-')), 'openapi.json')
    writeFileSync(plain, JSON.stringify(document))
    execFileSync(bin('openapi-typescript'), [plain, '-o', join(base, 'src/generated/api.ts')], {
      cwd: root,
      stdio: 'pipe',
    })
    rmSync(dirname(plain), { recursive: true })
  }
}

/** Names of files that differ from what would be generated now. */
export function stale() {
  const fresh = mkdtempSync(join(tmpdir(), 'generated-'))
  try {
    generate(fresh)
    const read = (base, name) => (existsSync(join(base, name)) ? readFileSync(join(base, name), 'utf8') : null)
    const names = (base) =>
      Object.keys(FOLDERS).flatMap((folder) => readdirSync(join(base, folder)).map((name) => join(folder, name)))
    return [...new Set([...names(fresh), ...names(root)])].filter((name) => read(fresh, name) !== read(root, name))
  } finally {
    rmSync(fresh, { recursive: true })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--check')) {
    const names = stale()
    if (names.length > 0) {
      console.error(`stale: ${names.join(', ')}; run npm run generate`)
      process.exit(1)
    }
  } else generate(root)
}
