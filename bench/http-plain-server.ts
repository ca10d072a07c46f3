/** Answers every request with 200: upper bounds for the HTTP port. `node bench/http-plain-server.ts node|fastify` */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import fastify from 'fastify';

async function portOf(kind: string | undefined): Promise<number> {
  if (kind === 'fastify') {
    const app = fastify();
    app.all('/*', (_request, reply) => reply.code(200).send());
    await app.listen({ port: 0, host: '127.0.0.1' });
    return (app.server.address() as AddressInfo).port;
  }
  const server = createServer((_request, response) => {
    response.writeHead(200, ['content-length', '0']).end();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return (server.address() as AddressInfo).port;
}

console.log(`listens on ${await portOf(process.argv[2])}`);
