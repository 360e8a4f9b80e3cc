// A socket.io server as its documentation has it, WebSocket only: `server.mjs PORT CONTROL REDIS pubsub|streams`.
// On the control port a line "COUNT SIZE" emits so many numbered events of that size.
import { createServer } from 'node:http';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { createClient } from 'redis';
import { Server } from 'socket.io';
import { createAdapter as pubsub } from '@socket.io/redis-adapter';
import { createAdapter as streams } from '@socket.io/redis-streams-adapter';

const [port, control, redis, kind] = process.argv.slice(2);
const client = createClient({ url: `redis://127.0.0.1:${redis}` });
client.on('error', (error) => console.error(String(error)));
await client.connect();
const options = { transports: ['websocket'], perMessageDeflate: false, serveClient: false };
if (kind === 'streams') {
  options.adapter = streams(client, { maxLen: 100_000 });
  options.connectionStateRecovery = { maxDisconnectionDuration: 120_000, skipMiddlewares: true };
} else {
  const sub = client.duplicate();
  sub.on('error', (error) => console.error(String(error)));
  await sub.connect();
  options.adapter = pubsub(client, sub);
}
const http = createServer();
const io = new Server(http, options);
let number = 0;
const commands = net.createServer((socket) => {
  createInterface({ input: socket }).on('line', (line) => {
    const [count, size] = line.split(' ').map(Number);
    for (let i = 0; i < count; i++) {
      number += 1;
      io.emit('e', `${number} `.padEnd(size, 'x'));
    }
  });
});
await new Promise((done) => commands.listen(Number(control), '127.0.0.1', done));
await new Promise((done) => http.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 }, done));
console.log('ready');
