// The workers that are npm packages: node driver.mjs SYSTEM STORE. They speak the protocol of package worker.
import fs from 'node:fs'
import path from 'node:path'
import readline from 'node:readline'

const [, , name, store] = process.argv
const say = (verb, args) => process.stdout.write(`${verb}?${new URLSearchParams(args ?? {})}\n`)
const whole = (a, key, fallback) => (a[key] === undefined ? fallback : Number.parseInt(a[key], 10))
const cpu = () => (({ user, system }) => (user + system) / 1e6)(process.cpuUsage())
const seconds = (from) => Number(process.hrtime.bigint() - from) / 1e9
const version = (module) => JSON.parse(fs.readFileSync(path.join('node_modules', module, 'package.json'))).version

class Unsupported extends Error {}

// bytesIn is the size of all files below a folder.
const bytesIn = (folder) =>
  fs.readdirSync(folder, { recursive: true, withFileTypes: true }).reduce((n, e) => n + (e.isFile() ? fs.statSync(path.join(e.parentPath ?? e.path, e.name)).size : 0), 0)

// eachBatch reads rows from..to of a file of float32 in pieces, each a Float32Array of its own.
function eachBatch(set, from, to, size, visit) {
  const f = fs.openSync(path.join(set.dir, 'base.f32'))
  try {
    for (let lo = from; lo < to; lo += size) {
      const n = Math.min(size, to - lo)
      const rows = new Float32Array(n * set.dim)
      fs.readSync(f, new Uint8Array(rows.buffer), 0, rows.byteLength, lo * set.dim * 4)
      visit(rows, lo, n)
      if (lo % 50_000 < size) say('progress', { done: lo, of: set.rows })
    }
  } finally {
    fs.closeSync(f)
  }
}

const rowOf = (rows, i, dim) => rows.subarray(i * dim, (i + 1) * dim)

// Each system: version, load(set, args) → seconds, build(set, args) → seconds, search(q, k) → row numbers (or a promise of
// them), prepare(args) before searches; of databases insert(rows, first, n, dim) → undefined or a promise, commits one batch.
const systems = {
  usearch: async () => {
    const { default: usearch } = await import('usearch')
    const { Index } = usearch
    let index, config, file
    const make = (ef) => new Index({ ...config, expansion_search: ef })
    return {
      version: version('usearch'),
      load: () => 0,
      build(set, args) {
        config = {
          dimensions: set.dim, metric: set.metric === 'L2' ? 'l2sq' : 'cos', quantization: 'f32',
          connectivity: whole(args, 'M', 16), expansion_add: whole(args, 'efConstruction', 128), expansion_search: 64, multi: false,
        }
        index = make(64)
        let took = 0
        eachBatch(set, 0, set.rows, 5000, (rows, lo, n) => {
          const keys = BigUint64Array.from({ length: n }, (_, i) => BigInt(lo + i))
          const begin = process.hrtime.bigint()
          index.add(keys, rows, whole(args, 'threads', 1))
          took += seconds(begin)
        })
        file = path.join(store, 'index.usearch')
        index.save(file)
        return took
      },
      prepare(args) {
        index = make(whole(args, 'ef', 64)) // ef is fixed when an index is made
        index.load(file)
      },
      search: (q, k) => Array.from(index.search(q, k, 1).keys, Number),
    }
  },

  zvec: async () => {
    const z = await import('@zvec/zvec')
    z.ZVecInitialize({ logLevel: z.ZVecLogLevel.ERROR, queryThreads: 1, optimizeThreads: Number(process.env.THREADS ?? 1) })
    let collection, ef
    const open = (set, args, folder) => {
      const metricType = set.metric === 'L2' ? z.ZVecMetricType.L2 : z.ZVecMetricType.COSINE
      const indexParams = { indexType: z.ZVecIndexType.HNSW, metricType, m: whole(args, 'M', 32), efConstruction: whole(args, 'efConstruction', 200) }
      if (args.codes === 'i8') indexParams.quantizeType = z.ZVecQuantizeType.INT8
      const schema = new z.ZVecCollectionSchema({
        name: 'rows',
        fields: args.fields
          ? ['number', 'place'].map((name) => ({ name, dataType: z.ZVecDataType.INT64, indexParams: { indexType: z.ZVecIndexType.INVERT, enableRangeOptimization: true } }))
          : [{ name: 'number', dataType: z.ZVecDataType.INT64 }],
        vectors: [{ name: 'vector', dataType: z.ZVecDataType.VECTOR_FP32, dimension: set.dim, indexParams }],
      })
      return z.ZVecCreateAndOpen(path.join(store, folder), schema)
    }
    let fields // number and place of each row, if there is anything to filter by
    const fieldsOf = (row) => (fields ? { number: Number(fields[2 * row]), place: Number(fields[2 * row + 1]) } : { number: row })
    const docs = (rows, first, n, dim) =>
      Array.from({ length: n }, (_, i) => ({ id: String(first + i), fields: fieldsOf(first + i), vectors: { vector: rowOf(rows, i, dim) } }))
    const add = (to, all) => {
      for (const status of to.insertSync(all)) if (!status.ok) throw new Error(status.message)
    }
    return {
      version: version('@zvec/zvec'),
      mostRows: 1024,
      durability: 'none',
      load(set, args) {
        if (args.fields) {
          const raw = fs.readFileSync(path.join(set.dir, 'fields.i64'))
          fields = new BigInt64Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength))
        }
        collection = open(set, args, 'rows')
        let took = 0
        eachBatch(set, 0, set.rows, 1000, (rows, lo, n) => {
          const all = docs(rows, lo, n, set.dim)
          const begin = process.hrtime.bigint()
          add(collection, all)
          took += seconds(begin)
        })
        return took
      },
      build(set, args) {
        const begin = process.hrtime.bigint()
        collection.optimizeSync({ concurrency: whole(args, 'threads', 1) })
        return seconds(begin)
      },
      prepare: (args) => (ef = whole(args, 'ef', 64)),
      filters: true,
      search: (q, k, filter) =>
        collection
          .querySync({ fieldName: 'vector', vector: q, topk: k, outputFields: [], params: { indexType: z.ZVecIndexType.HNSW, ef }, ...(filter ? { filter } : {}) })
          .map((hit) => Number(hit.id)),
      begin: (set) => (collection = open(set, {}, `ingest-${Date.now()}`)),
      batch: docs,
      insert: (all) => add(collection, all),
    }
  },

  lancedb: async () => {
    const lance = await import('@lancedb/lancedb')
    const db = await lance.connect(store)
    let table, ef, metric
    const records = (rows, first, n, dim) => Array.from({ length: n }, (_, i) => ({ id: first + i, vector: rowOf(rows, i, dim) }))
    return {
      version: version('@lancedb/lancedb'),
      durability: 'none',
      async load(set) {
        metric = set.metric === 'L2' ? 'l2' : 'cosine'
        const pieces = []
        eachBatch(set, 0, set.rows, 20_000, (rows, lo, n) => pieces.push([rows, lo, n]))
        let took = 0
        for (const [rows, lo, n] of pieces) {
          const all = records(rows, lo, n, set.dim)
          const begin = process.hrtime.bigint()
          if (table) await table.add(all)
          else table = await db.createTable('rows', all)
          took += seconds(begin)
        }
        return took
      },
      async build(set, args) {
        const config = lance.Index.hnswSq({ distanceType: metric, numPartitions: 1, m: whole(args, 'M', 20), efConstruction: whole(args, 'efConstruction', 300) })
        const begin = process.hrtime.bigint()
        await table.createIndex('vector', { config })
        await table.waitForIndex(['vector_idx'], 3600)
        return seconds(begin)
      },
      prepare: (args) => (ef = whole(args, 'ef', 64)),
      async search(q, k) {
        const hits = await table.query().nearestTo(q).column('vector').distanceType(metric).ef(Math.max(ef, k)).select(['id']).limit(k).toArray()
        return hits.map((hit) => hit.id)
      },
      async begin(set) {
        table = await db.createTable(`ingest${Date.now()}`, records(new Float32Array(set.dim), -1, 1, set.dim))
      },
      batch: records,
      insert: (all) => table.add(all),
    }
  },

  'sqlite-vec': async () => {
    const { default: Database } = await import('better-sqlite3')
    const vec = await import('sqlite-vec')
    const db = new Database(path.join(store, `rows.db`))
    vec.load(db)
    db.pragma('journal_mode = WAL')
    db.pragma('synchronous = FULL')
    let insert, query
    const open = (set, table) => {
      const metric = set.metric === 'L2' ? 'l2' : 'cosine'
      db.exec(`CREATE VIRTUAL TABLE ${table} USING vec0(id INTEGER PRIMARY KEY, vector float[${set.dim}] distance_metric=${metric})`)
      insert = db.prepare(`INSERT INTO ${table} (id, vector) VALUES (?, ?)`)
      query = db.prepare(`SELECT id FROM ${table} WHERE vector MATCH ? AND k = ? ORDER BY distance`)
    }
    const add = db.transaction((all) => {
      for (const [id, row] of all) insert.run(BigInt(id), row)
    })
    const batch = (rows, first, n, dim) => Array.from({ length: n }, (_, i) => [first + i, rowOf(rows, i, dim)])
    return {
      version: version('sqlite-vec'),
      durability: 'always',
      load(set) {
        open(set, 'rows')
        let took = 0
        eachBatch(set, 0, set.rows, 1000, (rows, lo, n) => {
          const all = batch(rows, lo, n, set.dim)
          const begin = process.hrtime.bigint()
          add(all)
          took += seconds(begin)
        })
        return took
      },
      build: () => undefined,
      prepare: () => {},
      search: (q, k) => query.all(q, BigInt(k)).map((row) => row.id),
      begin: (set) => open(set, `ingest${Date.now()}`),
      batch,
      insert: add,
    }
  },
}

let system, set, queries

const verbs = {
  version: () => ({ version: system.version }),

  async load(args) {
    set = { dir: args.dir, rows: whole(args, 'rows'), dim: whole(args, 'dim'), metric: args.metric }
    const raw = fs.readFileSync(path.join(set.dir, 'queries.f32'))
    queries = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength))
    if (args.only === 'queries') return {}
    return { load_s: await system.load(set, args) }
  },

  async build(args) {
    const before = cpu()
    const took = await system.build(set, args)
    return { ...(took === undefined ? {} : { build_s: took, cpu_seconds: cpu() - before }), disk_mb: bytesIn(store) / 2 ** 20 }
  },

  async search(args) {
    const [from, to, k, repeat] = [whole(args, 'from', 0), whole(args, 'to'), whole(args, 'k', 10), whole(args, 'repeat', 1)]
    if (whole(args, 'threads', 1) !== 1) throw new Unsupported('node asks one query at a time')
    if (args.filters && !system.filters) throw new Unsupported('no filters')
    const filters = args.filters ? fs.readFileSync(args.filters, 'utf8').split('\n') : []
    await system.prepare(args)
    const answers = new Int32Array((to - from) * k).fill(-1)
    const n = to - from
    const micros = new Float32Array(n * repeat)
    const before = cpu()
    const all = process.hrtime.bigint()
    for (let i = 0; i < n * repeat; i++) {
      const begin = process.hrtime.bigint()
      let found = system.search(rowOf(queries, from + (i % n), set.dim), k, filters[from + (i % n)])
      if (found instanceof Promise) found = await found
      micros[i] = Number(process.hrtime.bigint() - begin) / 1000
      answers.set(found.slice(0, k), (i % n) * k)
    }
    const took = seconds(all)
    const spent = cpu() - before
    fs.writeFileSync(args.out, new Uint8Array(answers.buffer))
    fs.writeFileSync(`${args.out}.us`, new Uint8Array(micros.buffer))
    return { seconds: took, cpu_seconds: spent }
  },

  // ingest inserts batches of rows into a new table, one after another.
  async ingest(args) {
    if (!system.insert) throw new Unsupported('no database')
    if (whole(args, 'writers', 1) !== 1) throw new Unsupported('node writes one batch at a time')
    if (args.sync !== system.durability) throw new Unsupported(`durability here is ${system.durability}`)
    const [size, count] = [whole(args, 'batch'), whole(args, 'batches')]
    if (size > (system.mostRows ?? size)) throw new Unsupported(`${system.mostRows} rows a batch at most`)
    await system.begin(set)
    const pieces = []
    for (let b = 0; b < count; b++) {
      eachBatch(set, (b * size) % Math.max(set.rows - size, 1), ((b * size) % Math.max(set.rows - size, 1)) + size, size, (rows, lo, n) => pieces.push(system.batch(rows, b * size, n, set.dim)))
    }
    const micros = new Float32Array(count)
    const all = process.hrtime.bigint()
    for (let b = 0; b < count; b++) {
      const begin = process.hrtime.bigint()
      const done = system.insert(pieces[b])
      if (done instanceof Promise) await done
      micros[b] = Number(process.hrtime.bigint() - begin) / 1000
    }
    const took = seconds(all)
    fs.writeFileSync(`${args.out}.us`, new Uint8Array(micros.buffer))
    return { seconds: took, rows: size * count, disk_mb: bytesIn(store) / 2 ** 20 }
  },
}

process.chdir(path.dirname(process.argv[1]))
system = await systems[name]()
for await (const line of readline.createInterface({ input: process.stdin })) {
  const [verb, query] = line.split('?')
  const args = Object.fromEntries(new URLSearchParams(query))
  try {
    if (!verbs[verb]) throw new Unsupported(verb)
    say('ok', await verbs[verb](args))
  } catch (e) {
    say(e instanceof Unsupported ? 'unsupported' : 'error', { text: e.message })
  }
}
process.exit(0)
