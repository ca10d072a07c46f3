/** HTTP/1.1 as written: clients normalise what these tests are about. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { within } from './within.ts';

export interface RawAnswer {
  readonly status: number;
  /** Names in lower case; values of a repeated one in order. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  readonly body: string;
}

/**
 * Sends one request, one character for each byte, and reads until the server closes; `connection: close` is added. `chunks`: a body as
 * written, for which `headers` have `transfer-encoding`.
 */
export async function sendRaw(
  port: number,
  requestLine: string,
  headers: readonly string[] = ['host: shop.example'],
  body = '',
  chunks = '',
): Promise<RawAnswer> {
  const socket = connect({ port, host: '127.0.0.1' });
  const parts: Buffer[] = [];
  socket.on('data', (part) => parts.push(part));
  socket.on('error', () => socket.destroy());
  const length = body === '' ? [] : [`content-length: ${Buffer.byteLength(body, 'latin1')}`];
  socket.write(
    `${[requestLine, ...headers, ...length, 'connection: close'].join('\r\n')}\r\n\r\n${body}${chunks}`,
    'latin1',
  );
  await within(`the answer to ${requestLine} at port ${port}`, once(socket, 'close'));
  return answerOf(Buffer.concat(parts).toString('latin1'));
}

function answerOf(text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n');
  const [statusLine = '', ...lines] = text.slice(0, Math.max(end, 0)).split('\r\n');
  const headers = new Map<string, string[]>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    headers.set(name, [...(headers.get(name) ?? []), line.slice(colon + 1).trim()]);
  }
  const body = text.slice(end + 4);
  return {
    status: Number(statusLine.split(' ')[1] ?? 0),
    headers,
    body: headers.get('transfer-encoding')?.[0] === 'chunked' ? unchunked(body) : body,
  };
}

function unchunked(body: string): string {
  let text = '';
  for (let at = 0; at < body.length;) {
    const end = body.indexOf('\r\n', at);
    const length = Number.parseInt(body.slice(at, end), 16);
    if (!(length > 0)) break;
    text += body.slice(end + 2, end + 2 + length);
    at = end + 2 + length + 2;
  }
  return text;
}
