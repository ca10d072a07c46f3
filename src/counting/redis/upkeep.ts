/**
 * Keeps an ioredis client connected to a server that serves.
 * **In**: a client, the errors of its commands. **Out**: whether it can be asked, and why not. **Fails**: never.
 *
 * ioredis reconnects when a connection ends. Some connections stay open but are useless: the server became a replica, loads its data, or
 * requires another password. Such a connection is closed and made anew through the address, which may lead to another server by then.
 */
import type { Socket } from 'node:net';
import { Cluster, type Redis, ReplyError } from 'ioredis';
import { givesUpConnection, isServing, type ServerKind } from './error-reply.ts';
import { Greeter } from './greeting.ts';
import { CLOSED, reasonOf } from './reason.ts';

const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 1000;
/** Pause before a client that ioredis has ended for good is connected again. */
const RESTART_MS = 200;
/** A hung peer does not answer FIN either. */
const CLOSE_WITHIN_MS = 200;

/** Options of ioredis that belong to reconnecting, for a single server, sentinels and clusters alike. */
export interface ReconnectOptions {
  readonly retryStrategy: (times: number) => number;
  readonly disconnectTimeout: number;
  readonly maxLoadingRetryTime: number;
}

export interface UpkeepOptions {
  /** Throws if the address is invalid. */
  readonly connect: (options: ReconnectOptions) => Redis | Cluster;
  /** One server, which a proxy may be before: it is greeted by commands that proxies know, in place of ioredis' check of INFO. */
  readonly greets: boolean;
  /** Timeout from the TCP connection until the server serves. */
  readonly readyWithinMs: number;
  /** Called on each change, and on each new reason. */
  readonly onChange: (isUp: boolean, why: string | undefined) => void;
}

const NOT_YET = 'not connected yet';
const CLOSED_EARLY = 'the connection was closed before it was ready: is this Redis?';
/** twemproxy closes it for a command that it does not know. */
const closedFor = (command: string): string =>
  `the connection was closed in place of an answer to ${command}: is this Redis, or a proxy that knows this command?`;

export class Upkeep {
  readonly redis: Redis | Cluster;
  readonly #options: UpkeepOptions;
  #why: string | undefined = NOT_YET;
  /** Connections closed in a row before one answered a command. */
  #refusals = 0;
  #refusal = '';
  readonly #greeter = new Greeter();
  #isProxy = false;
  #isAnswered = false;
  /** The first command that waited when the connection was closed. */
  #closedBefore: string | undefined;
  #readyTimer: NodeJS.Timeout | undefined;
  #restartTimer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    const redis = (this.redis = options.connect({
      retryStrategy: (times) => this.#pauseMs(times),
      disconnectTimeout: CLOSE_WITHIN_MS,
      maxLoadingRetryTime: LONGEST_PAUSE_MS,
    }));
    redis.on('connect', () => {
      this.#isAnswered = false;
      this.stream?.prependOnceListener('close', () => (this.#closedBefore = waitingCommand(redis)));
      clearTimeout(this.#readyTimer);
      this.#readyTimer = setTimeout(
        () => this.giveUp(`connected, but not ready within ${options.readyWithinMs} ms: it hangs or loads its data`),
        options.readyWithinMs,
      );
    });
    redis.on('ready', () => this.#ready());
    redis.on('error', (error: Error) => {
      if (error.name !== 'MaxRetriesPerRequestError') this.#down(reasonOf(error)); // of a command that waited; close says why
    });
    redis.on('close', () => {
      clearTimeout(this.#readyTimer);
      if (!this.#greeter.closed()) this.#down(this.#whyClosed());
    });
    redis.on('end', () => {
      if (!this.#isClosed)
        this.#restartTimer = setTimeout(() => {
          redis.connect().catch(() => undefined);
        }, RESTART_MS);
    });
  }

  get isUp(): boolean {
    return this.#why === undefined;
  }

  get kind(): ServerKind {
    return this.redis instanceof Cluster ? 'cluster' : this.#isProxy ? 'proxy' : 'server';
  }

  /** Why it cannot be asked; holds no secret. */
  get why(): string | undefined {
    return this.#why;
  }

  /** The connection of a single server; a cluster has one to each node. */
  get stream(): Socket | undefined {
    return this.redis instanceof Cluster ? undefined : (this.redis.stream as Socket | undefined);
  }

  /** Of a cluster, those to its nodes. */
  get streams(): readonly Socket[] {
    const clients = this.redis instanceof Cluster ? this.redis.nodes() : [this.redis];
    return clients.flatMap(({ stream }) => (stream as Socket | undefined) ?? []);
  }

  /** A command was answered. */
  answered(): void {
    this.#isAnswered = true;
    this.#refusals = 0;
  }

  /** A command failed with this reply; if the whole server is meant, the connection is closed. */
  refused(reply: string): void {
    if (!this.isUp || !givesUpConnection(reply, this.kind)) return;
    this.#refusals++;
    this.#refusal = reply;
    this.giveUp(reply);
  }

  /** Fails all commands in flight, and reconnects. */
  giveUp(why: string): void {
    this.#down(why);
    if (this.redis instanceof Cluster) this.redis.disconnect(true);
    else this.stream?.destroy();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#readyTimer);
    clearTimeout(this.#restartTimer);
    this.redis.disconnect();
    this.stream?.destroy();
  }

  /** The reason stays where it is known already. */
  #whyClosed(): string {
    if (this.#why !== undefined && this.#why !== NOT_YET) return this.#why;
    const command = this.#closedBefore;
    if (this.#why === NOT_YET) return command === undefined ? CLOSED_EARLY : closedFor(command);
    if (this.#isAnswered || !this.#isProxy || command === undefined) return CLOSED;
    this.#refusals++; // each new connection would end so
    return closedFor(command);
  }

  #ready(): void {
    const { redis } = this;
    if (redis instanceof Cluster) {
      this.#up();
      return;
    }
    const { stream } = this;
    this.#whetherReady(redis).then(
      (isReady) => {
        if (stream !== this.stream || redis.status !== 'ready') return;
        if (isReady) this.#up();
        else {
          this.#refusals++;
          this.giveUp(this.#refusal);
        }
      },
      (error: unknown) => {
        if (stream !== this.stream || redis.status !== 'ready') return; // closed, and down already
        this.#refusals++;
        this.giveUp(reasonOf(error));
      },
    );
  }

  /** Rejects with the refusal of the server, or if the connection is closed. */
  async #whetherReady(redis: Redis): Promise<boolean> {
    if (this.#options.greets) this.#isProxy = await this.#greeter.greet(redis);
    if (this.#refusals === 0 || this.#isProxy) return true;
    try {
      return isServing(await redis.role(), this.#refusal);
    } catch (error) {
      if (error instanceof ReplyError) return true; // ROLE may be forbidden; the next command decides
      throw error;
    }
  }

  #up(): void {
    clearTimeout(this.#readyTimer);
    this.#why = undefined;
    this.#options.onChange(true, undefined);
  }

  #down(why: string): void {
    if (this.#why === why || this.#isClosed) return;
    this.#why = why;
    this.#options.onChange(false, why);
  }

  #pauseMs(times: number): number {
    return (
      Math.min(FIRST_PAUSE_MS * 2 ** Math.min(Math.max(times, this.#refusals), 10), LONGEST_PAUSE_MS) *
      (0.75 + Math.random() / 2)
    );
  }
}

/** ioredis types its queue as private. */
const waitingCommand = (redis: Redis | Cluster): string | undefined => {
  const { commandQueue } = redis as unknown as {
    readonly commandQueue?: { peekFront(): { readonly command: { readonly name: string } } | undefined };
  };
  return commandQueue?.peekFront()?.command.name.toUpperCase();
};
