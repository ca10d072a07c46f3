/**
 * One connection for each address, shared by all handlers behind it.
 * **In**: an address with its TLS files. **Out**: a connection whose plugin has described itself. **Fails**: with `Unavailable` and what to
 * do.
 */
import { fromBinary, create, toBinary } from '@bufbuild/protobuf';
import { readFile } from 'node:fs/promises';
import { Unavailable } from '../contract.ts';
import { CONTRACT_VERSION } from '../contract/version.ts';
import { messageOf } from '../../text/message-of.ts';
import { parseAddress } from '../../text/parse-address.ts';
import { connectStreams, type DialTls, GrpcError, Status, type StreamsClient } from '../../transport/index.ts';
import {
  DescribeRequestSchema,
  type DescribeResponse,
  DescribeResponseSchema,
  Plugin,
} from '../../../gen/sluice/plugin/v1/plugin_pb.ts';
import { boundedText } from './bounded-text.ts';
import { MAX_MESSAGE_BYTES } from './codec/batch.ts';
import type { DialFiles, DialTarget } from './dial-target.ts';

/** Connecting and describing are local work of the plugin. */
const WITHIN_MS = 2000;

export class Connections {
  readonly #open = new Map<string, Connection>();
  readonly #withinMs: number;

  constructor(withinMs: number = WITHIN_MS) {
    this.#withinMs = withinMs;
  }

  /** Release it once. Rejects if the plugin cannot be reached now. */
  async acquire(target: DialTarget): Promise<Connection> {
    const key = JSON.stringify(target);
    let connection = this.#open.get(key);
    if (connection === undefined || !connection.isUsable) {
      connection = new Connection(target, this.#withinMs, () => {
        if (this.#open.get(key) === connection) this.#open.delete(key);
      });
      this.#open.set(key, connection);
    }
    connection.users++;
    try {
      await connection.described;
      return connection;
    } catch (error) {
      connection.abandon();
      connection.release();
      throw new Unavailable(messageOf(error), 0, { cause: error });
    }
  }

  /** Asks a plugin for the descriptions of its adapters. */
  async describe(target: DialTarget): Promise<DescribeResponse> {
    const connection = await this.acquire(target);
    connection.release();
    return connection.described;
  }
}

export class Connection {
  users = 0;
  readonly described: Promise<DescribeResponse>;
  readonly #forget: () => void;
  #client: StreamsClient | undefined;
  #isAbandoned = false;

  constructor(target: DialTarget, withinMs: number, forget: () => void) {
    this.#forget = forget;
    this.described = this.#connect(target, withinMs);
    this.described.catch(() => undefined); // each user awaits it
  }

  /** Whether new streams may be opened on it. */
  get isUsable(): boolean {
    return !this.#isAbandoned && this.#client?.isOpen !== false;
  }

  get client(): StreamsClient {
    if (this.#client === undefined) throw new Error('not connected yet');
    return this.#client;
  }

  /** The plugin hangs, or cannot be reached: the next handler connects anew. */
  abandon(): void {
    this.#isAbandoned = true;
    this.#forget();
  }

  /** Closes it after the last user. */
  release(): void {
    if (--this.users > 0) return;
    this.#forget();
    this.#isAbandoned = true;
    this.#client?.close();
  }

  async #connect({ address, tls }: DialTarget, withinMs: number): Promise<DescribeResponse> {
    const at = parseAddress(address);
    if (at === undefined) throw new Error(`${address} is no address; write unix:PATH or HOST:PORT`);
    this.#client = await connectStreams(at, { tls: await readFiles(tls), withinMs });
    if (this.#isAbandoned) this.#client.close();
    const request = toBinary(DescribeRequestSchema, create(DescribeRequestSchema, { contract: CONTRACT_VERSION }));
    let reply: Buffer;
    try {
      reply = await this.#client.unary(`/${Plugin.typeName}/Describe`, request, {
        maxMessageBytes: MAX_MESSAGE_BYTES,
        timeoutMs: withinMs,
      });
    } catch (error) {
      if (error instanceof GrpcError && error.code === Status.UNIMPLEMENTED)
        throw new Error(`${address} is no plugin: it does not serve ${Plugin.typeName}; correct the address`, {
          cause: error,
        });
      throw new Error(`${address} does not describe itself: ${boundedText(messageOf(error))}`, { cause: error });
    }
    try {
      return fromBinary(DescribeResponseSchema, reply);
    } catch (error) {
      throw new Error(`${address} answers Describe with bytes that are no DescribeResponse: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }
}

async function readPem(name: string, path: string): Promise<Buffer> {
  let pem: Buffer;
  try {
    pem = await readFile(path);
  } catch (error) {
    throw new Error(`tls.${name} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  if (!pem.includes('-----BEGIN ')) throw new Error(`tls.${name}: ${path} is no PEM file`);
  return pem;
}

async function readFiles(files: DialFiles | undefined): Promise<DialTls | undefined> {
  if (files === undefined) return undefined;
  const [ca, cert, key] = await Promise.all(
    (['ca', 'cert', 'key'] as const).map(async (name) => {
      const path = files[name];
      return path === undefined ? undefined : readPem(name, path);
    }),
  );
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(files.serverName === undefined ? {} : { serverName: files.serverName }),
  };
}
