/** What `sluice deadletter` says of a port that has no dead letters. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { lettersOf } from '../../../src/cli/letters-of-server.ts';

test.each([
  ['an older version', 404, '{"message":"Route GET:/deadletters not found","error":"Not Found","statusCode":404}'],
  ['another program', 200, '<html>hello</html>'],
  ['a proxy', 502, 'bad gateway'],
])('a server of %s is named as such', async (_, status, body) => {
  const server = createServer((_request, response) => void response.writeHead(status).end(body)).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await expect(lettersOf(`127.0.0.1:${port}`, undefined)).rejects.toThrow(
    `http://127.0.0.1:${port} answers ${status}, and not with dead letters: it is another port, or a server of an older version`,
  );
});
