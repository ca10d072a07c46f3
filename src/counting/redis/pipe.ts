/**
 * INCRBY and EXPIRE, many in one write: the two commands that every hit of a `window` costs, without an object for each.
 * **In**: keys, hits and expiries, and commands whose replies are ignored. **Out**: counts, in order. **Fails**: all that wait fail when
 * the connection ends; a command that Redis refuses fails alone.
 *
 * A connection of its own beside that of ioredis, which finds the server, follows it when it moves, and does all else.
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { type Redis, ReplyError } from 'ioredis';
import { named } from '../../text/server-name.ts';
import { MAX_HITS } from '../algorithms.ts';
import { isOfServer, isPassing } from './error-reply.ts';
import { CLOSED, reasonOf } from './reason.ts';

export interface PipePlace {
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  readonly tls?: ConnectionOptions;
  readonly username?: string;
  readonly password?: string;
}

/** The server that ioredis is connected to. */
export function placeOf({ options, stream }: Redis): PipePlace {
  const { username, password, tls, host, path } = options;
  const { remoteAddress, remotePort } = stream as Socket;
  const isUnix = remoteAddress === undefined || remotePort === undefined;
  const ofHost = isUnix || host === undefined ? {} : named(host);
  return {
    ...(isUnix ? { path: path ?? '' } : { host: remoteAddress, port: remotePort }),
    ...(tls === undefined ? {} : { tls: { ...ofHost, ...tls } }),
    ...(typeof password !== 'string' ? {} : { password, ...(typeof username === 'string' ? { username } : {}) }),
  };
}

export type Count = number | Error;

/** A command whose reply is one line. */
export type Command = readonly [name: string, ...words: string[]];

/** A hit of a window; its key expires after `perMs`, or what {@link ExpiryS} makes of it. */
export interface Increment {
  readonly key: string;
  readonly cost: number;
  readonly perMs: number;
}
export type ExpiryS = (perMs: number) => number;

interface Batch {
  /** `undefined` of commands whose replies are ignored, also errors: an ACL may forbid them. */
  readonly counts: Count[] | undefined;
  /** Replies to come: two for each increment, or one for each other command. */
  left: number;
  readonly done: (counts: Count[]) => void;
  readonly failed: (error: Error) => void;
}

/** The two commands of a hit, without its key. */
interface HitWords {
  readonly cost: number;
  readonly expiryS: number;
  /** From the key of INCRBY to that of EXPIRE. */
  readonly hitsAndExpire: string;
  readonly expiry: string;
}

const INCRBY = '*3\r\n$6\r\nINCRBY\r\n';

function wordsOf(cost: number, expiryS: number): HitWords {
  const [hits, expiry] = [String(Math.min(cost, MAX_HITS)), String(expiryS)];
  return {
    cost,
    expiryS,
    hitsAndExpire: `\r\n$${hits.length}\r\n${hits}\r\n*3\r\n$6\r\nEXPIRE\r\n`,
    expiry: `\r\n$${expiry.length}\r\n${expiry}\r\n`,
  };
}

const [CR, MINUS, COLON] = [0x0d, 0x2d, 0x3a];
/** Of one reply; an error of Redis takes less. */
const MAX_LINE_BYTES = 64 * 1024;
/** Replies to a thousand hits. */
const READ_BYTES = 16 * 1024;
const NOTHING = Buffer.alloc(0);

export interface PipeEvents {
  ready(): void;
  /** `why` holds no secret. */
  closed(wasReady: boolean, why: string): void;
}

/** A password that the server does not ask for; ioredis goes on, too. */
const isNoPassword = (reply: string): boolean =>
  /no password is set|without any password configured for the default user/.test(reply);

export class RedisPipe {
  readonly #socket: Socket;
  readonly #batches: Batch[] = [];
  #rest: Buffer = NOTHING;
  /** Of the last hit; most are alike. */
  #words: HitWords = wordsOf(1, 0);
  #isReady = false;
  /** Replies to come before it is ready: to AUTH, and to PING. */
  #greetings: ('AUTH' | 'PING')[] = [];
  readonly #onEvent: PipeEvents;

  constructor(place: PipePlace, onEvent: PipeEvents) {
    const { host = '127.0.0.1', port = 6379, path, tls, username, password } = place;
    this.#onEvent = onEvent;
    const onread = {
      buffer: Buffer.allocUnsafe(READ_BYTES),
      callback: (length: number, buffer: Uint8Array) => this.#received(buffer as Buffer, length),
    };
    const socket =
      path !== undefined
        ? connectTcp({ path, onread })
        : tls === undefined
          ? connectTcp({ host, port, noDelay: true, onread })
          : connectTls({ host, port, ...tls, onread } as ConnectionOptions); // its types lack onread
    this.#socket = socket;
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
      // A server with too many clients says so and closes the connection. In one write: a second one would fail before that is read.
      let text = '';
      if (password !== undefined) {
        this.#greetings.push('AUTH');
        text = commandText(username === undefined ? ['AUTH', password] : ['AUTH', username, password]);
      }
      this.#greetings.push('PING');
      socket.write(text + commandText(['PING']));
    });
    socket.resume(); // reads to the end of the connection
    let why = CLOSED;
    socket.on('error', (error) => (why = reasonOf(error)));
    socket.on('close', () => this.#closed(why));
  }

  /** The server accepts commands. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Replies to `beside` are awaited only if nothing is counted. */
  count(increments: readonly Increment[], expiryS: ExpiryS, beside: readonly Command[]): Promise<readonly Count[]> {
    return new Promise((resolve, reject) => {
      if (!this.#isReady) return reject(new Error(CLOSED));
      let text = '';
      let words = this.#words;
      for (const { key, cost, perMs } of increments) {
        const expiry = expiryS(perMs);
        if (words.cost !== cost || words.expiryS !== expiry) words = this.#words = wordsOf(cost, expiry);
        const named = `$${Buffer.byteLength(key)}\r\n${key}`;
        text += INCRBY + named + words.hitsAndExpire + named + words.expiry;
      }
      for (const command of beside) text += commandText(command);
      if (text === '') return resolve([]); // no reply would come
      const wait = (left: number, counts?: Count[]): void => {
        if (left > 0) this.#batches.push({ counts, left, done: resolve, failed: reject });
      };
      wait(increments.length * 2, []);
      wait(beside.length); // resolves nothing if increments were awaited
      this.#socket.write(text);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  /** The buffer is used again for the next read. */
  #received(buffer: Buffer, length: number): boolean {
    try {
      if (this.#rest.length === 0) this.#read(buffer, length);
      else {
        const bytes = Buffer.concat([this.#rest, buffer.subarray(0, length)]);
        this.#read(bytes, bytes.length);
      }
    } catch (error) {
      this.#socket.destroy(error instanceof Error ? error : undefined);
    }
    return true;
  }

  /** Each reply is a line: `:5`, `+OK` or `-ERR why` (Redis serialization protocol). */
  #read(bytes: Buffer, length: number): void {
    let at = 0;
    for (;;) {
      let end = at;
      while (end < length && bytes[end] !== CR) end++; // a line has a few bytes: faster than indexOf
      if (end + 1 >= length) break;
      if (this.#isReady) this.#reply(bytes, at, end);
      else this.#greeted(bytes.toString('utf8', at, end));
      at = end + 2;
    }
    this.#rest = at === length ? NOTHING : Buffer.from(bytes.subarray(at, length));
    if (this.#rest.length > MAX_LINE_BYTES) throw new Error('Redis sent no end of a line');
  }

  #greeted(reply: string): void {
    const command = this.#greetings.shift();
    if (command === undefined) throw new ReplyError(reply.slice(1));
    if (reply.startsWith('-') && !(command === 'AUTH' ? isNoPassword(reply) : isPassing(reply.slice(1))))
      throw new ReplyError(reply.slice(1));
    if (this.#greetings.length > 0) return;
    this.#isReady = true;
    this.#onEvent.ready();
  }

  #reply(bytes: Buffer, from: number, to: number): void {
    const batch = this.#batches[0];
    if (batch === undefined) throw new Error('Redis sent a reply that no command asked for');
    const { counts } = batch;
    if (counts !== undefined) takeReply(counts, batch.left % 2 === 0, bytes, from, to);
    if (--batch.left > 0) return;
    this.#batches.shift();
    batch.done(counts ?? []);
  }

  #closed(why: string): void {
    const wasReady = this.#isReady;
    this.#isReady = false;
    for (const { failed } of this.#batches.splice(0)) failed(new Error(CLOSED));
    this.#onEvent.closed(wasReady, why);
  }
}

/** `isCount`: of INCRBY; otherwise of the EXPIRE that follows it. */
function takeReply(counts: Count[], isCount: boolean, bytes: Buffer, from: number, to: number): void {
  if (bytes[from] === COLON) {
    if (isCount) counts.push(numberOf(bytes, from + 1, to));
  } else if (bytes[from] === MINUS) {
    const error = new ReplyError(bytes.toString('utf8', from + 1, to));
    if (isCount) counts.push(error);
    else if (isOfServer(error.message)) counts[counts.length - 1] = error; // an ACL without EXPIRE: keys would stay for ever
  } else if (isCount) throw new Error('Redis answered INCRBY with no number');
}

function numberOf(bytes: Buffer, from: number, to: number): number {
  const isNegative = bytes[from] === MINUS;
  let value = 0;
  for (let at = isNegative ? from + 1 : from; at < to; at++) value = value * 10 + (bytes[at] as number) - 0x30;
  return isNegative ? -value : value;
}

const commandText = (words: readonly string[]): string =>
  `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
