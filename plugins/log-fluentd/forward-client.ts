/**
 * A connection to a receiver of the forward protocol, opened when it is needed.
 * **In**: chunks. **Out**: settles when a chunk is acknowledged, in whatever order acknowledgements come.
 * **Fails**: when the connection ends or an acknowledgement is late; then all chunks that wait fail, and the next one connects anew.
 *
 * With a shared key the receiver says HELO with a nonce, we PING, it PONGs; each proves that it has the key by a SHA-512 over it.
 */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions as TlsOptions } from 'node:tls';
import { decodeMultiStream, encode } from '@msgpack/msgpack';
import type { Chunk } from './chunk.ts';

export interface ForwardOptions {
  readonly host: string;
  readonly port: number;
  /** Called for each connection. */
  readonly tls: (() => TlsOptions) | undefined;
  readonly hostname: string;
  readonly sharedKey?: string | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly connectTimeoutMs: number;
  readonly ackTimeoutMs: number;
}

/** Messages of a receiver are short; a longer one comes from another kind of server. */
const LIMITS = {
  context: undefined,
  maxStrLength: 4096,
  maxBinLength: 4096,
  maxArrayLength: 16,
  maxMapLength: 64,
  maxExtLength: 64,
};

interface Waiting {
  readonly done: () => void;
  readonly failed: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}
interface Connection {
  readonly socket: Socket;
  readonly waiting: Map<string, Waiting>;
}

export class ForwardClient {
  readonly #options: ForwardOptions;
  #connection: Promise<Connection> | undefined;
  #socket: Socket | undefined;
  #isClosed = false;

  constructor(options: ForwardOptions) {
    this.#options = options;
  }

  /** For messages. */
  get shown(): string {
    return `fluentd at ${this.#options.host}:${this.#options.port}`;
  }

  async connect(): Promise<void> {
    await this.#connected();
  }

  async send({ id, message }: Chunk): Promise<void> {
    const { ackTimeoutMs } = this.#options;
    const { socket, waiting } = await this.#connected();
    await new Promise<void>((done, failed) => {
      const timer = setTimeout(() => {
        socket.destroy(new Error(`no acknowledgement for ${ackTimeoutMs} ms`));
      }, ackTimeoutMs);
      waiting.set(id, { done, failed, timer });
      if (socket.destroyed) socket.emit('close');
      else socket.write(message);
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#socket?.destroy();
  }

  #connected(): Promise<Connection> {
    if (this.#isClosed) return Promise.reject(new Error('the handler is closed'));
    if (this.#connection === undefined) {
      const opening = this.#open();
      this.#connection = opening;
      const forget = (): void => {
        if (this.#connection === opening) this.#connection = undefined;
      };
      opening.then(({ socket }) => (socket.destroyed ? forget() : socket.once('close', forget)), forget);
    }
    return this.#connection;
  }

  async #open(): Promise<Connection> {
    const { host, port, tls, sharedKey, connectTimeoutMs } = this.#options;
    const socket = tls === undefined ? connectTcp({ host, port, noDelay: true }) : connectTls({ ...tls(), host, port });
    this.#socket = socket;
    const waiting = new Map<string, Waiting>();
    let reason: Error = new Error('the connection was closed');
    socket.on('error', (error) => {
      reason = error;
    });
    socket.on('close', () => {
      for (const { failed, timer } of waiting.values()) {
        clearTimeout(timer);
        failed(reason);
      }
      waiting.clear();
    });
    const timer = setTimeout(
      () => socket.destroy(new Error(`no connection within ${connectTimeoutMs} ms`)),
      connectTimeoutMs,
    );
    try {
      await once(socket, tls === undefined ? 'connect' : 'secureConnect');
      const messages = decodeMultiStream(socket, LIMITS);
      if (sharedKey !== undefined) await this.#shakeHands(socket, messages, sharedKey);
      void this.#read(socket, messages, waiting);
      return { socket, waiting };
    } catch (error) {
      socket.destroy();
      throw socket.errored ?? error;
    } finally {
      clearTimeout(timer);
    }
  }

  async #shakeHands(socket: Socket, messages: AsyncIterator<unknown>, sharedKey: string): Promise<void> {
    const { hostname, username, password } = this.#options;
    const next = async (name: string): Promise<readonly unknown[]> => {
      const { value, done } = await messages.next();
      if (done === true)
        throw new Error(`it closed the connection before ${name}; it may want TLS or have no <security>`);
      if (!Array.isArray(value) || value[0] !== name) throw new Error(`it did not say ${name}; is it a forward input?`);
      return value;
    };
    const [, helo] = await next('HELO');
    const { nonce = '', auth = '' } = (helo ?? {}) as {
      readonly nonce?: Uint8Array | string;
      readonly auth?: Uint8Array | string;
    };
    const salt = randomBytes(16);
    const proofOf = (name: string): string => digest(salt, name, nonce, sharedKey);
    const user =
      username === undefined || password === undefined || auth.length === 0
        ? ['', '']
        : [username, digest(auth, username, password)];
    socket.write(encode(['PING', hostname, salt, proofOf(hostname), ...user]));
    const [, isAuthenticated, why, serverName, proof] = await next('PONG');
    if (isAuthenticated !== true) throw new Error(`it refused the shared key or the user: ${String(why)}`);
    if (typeof serverName !== 'string' || proof !== proofOf(serverName))
      throw new Error('it does not have the shared key itself');
  }

  async #read(socket: Socket, messages: AsyncIterable<unknown>, waiting: Map<string, Waiting>): Promise<void> {
    try {
      for await (const message of messages) {
        const { ack } = (message ?? {}) as { readonly ack?: unknown };
        const one = typeof ack === 'string' ? waiting.get(ack) : undefined;
        if (one === undefined) continue;
        waiting.delete(ack as string);
        clearTimeout(one.timer);
        one.done();
      }
      socket.destroy();
    } catch (error) {
      socket.destroy(error instanceof Error ? error : undefined);
    }
  }
}

function digest(...parts: readonly (Uint8Array | string)[]): string {
  const hash = createHash('sha512');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}
