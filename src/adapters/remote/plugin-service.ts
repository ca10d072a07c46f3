/**
 * Adapters behind `sluice.plugin.v1`: each Handle stream is a session with one handler.
 * **In**: adapters. **Out**: the methods of the service. **Fails**: a stream with bytes that are no HandleRequest ends with
 * INVALID_ARGUMENT; configs and params that the adapter's schema rejects are answered as such.
 */
import { type DescService, toBinary } from '@bufbuild/protobuf';
import type { z } from 'zod';
import type { Adapter, Capability, Host } from '../contract.ts';
import { CONTRACT_VERSION } from '../contract/version.ts';
import type { Ask, CallNumber, FromHandler, Open, Prepare, Slot, ToHandler } from '../isolated/protocol.ts';
import { Session } from '../isolated/session.ts';
import { createSharedMemory, type SharedMemory } from '../shared-memory.ts';
import { messageOf } from '../../text/message-of.ts';
import { ProtobufWriter } from '../../protobuf/writer.ts';
import { asBuffer } from '../../transport/byte-range.ts';
import { type CallContext, GrpcError, type Method, Status } from '../../transport/index.ts';
import { DescribeResponseSchema, Plugin } from '../../../gen/sluice/plugin/v1/plugin_pb.ts';
import { answerOf, type AskedKind } from './codec/answers.ts';
import { writeBatches } from './codec/batch.ts';
import { type HostMessage, readHostMessages } from './codec/host-messages.ts';
import { PLUGIN_MESSAGES, type PluginMessage } from './codec/plugin-messages.ts';
import { describe } from './description.ts';

export interface PluginServiceOptions {
  /** Name and version of the program, for operators. */
  readonly software?: string;
  /** Default: the system clocks. */
  readonly clock?: Host['clock'];
  /** First back-off of failed background work. */
  readonly restartAfterMs?: number;
}

/** For health and reflection. */
export const PLUGIN_SERVICE: DescService = Plugin;

/** What may wait for a host that does not read. */
const MAX_UNREAD_BYTES = 16 * 1024 * 1024;

export function pluginMethods(
  adapters: readonly Adapter[],
  options: PluginServiceOptions = {},
): [path: string, method: Method][] {
  const byName = new Map(adapters.map((adapter) => [adapter.name, adapter]));
  const description = toBinary(DescribeResponseSchema, describe(adapters, options.software ?? ''));
  const shared = new SharedMemories();
  return [
    [`/${Plugin.typeName}/Describe`, { kind: 'unary', handle: () => description }],
    [
      `/${Plugin.typeName}/Handle`,
      {
        kind: 'stream',
        handle: (requests, context) => new HandleStream(byName, shared, options).run(requests, context),
      },
    ],
  ];
}

class HandleStream {
  readonly #adapters: ReadonlyMap<string, Adapter>;
  readonly #shared: SharedMemories;
  readonly #options: PluginServiceOptions;
  readonly #writer = new ProtobufWriter();
  readonly #out: Uint8Array[] = [];
  #unreadBytes = 0;
  #wake: () => void = () => undefined;
  readonly #session: { made: Session | undefined; adapter: Adapter | undefined } = {
    made: undefined,
    adapter: undefined,
  };
  readonly #capabilities = new Map<Slot, Capability>();
  /** Running calls; the kind decides how the answer is written. */
  readonly #calls = new Map<CallNumber, AskedKind>();
  #memory: SharedMemory | undefined;
  #releaseMemory = (): void => undefined;
  #isStopping = false;
  /** Why the stream ends once all is written; `null`: without an error. */
  #end: GrpcError | null | undefined;

  constructor(adapters: ReadonlyMap<string, Adapter>, shared: SharedMemories, options: PluginServiceOptions) {
    this.#adapters = adapters;
    this.#shared = shared;
    this.#options = options;
  }

  async *run(requests: AsyncIterable<Uint8Array>, context: CallContext): AsyncGenerator<Uint8Array, void, undefined> {
    const stop = (): void => this.#stop();
    context.draining.addEventListener('abort', stop, { once: true });
    this.#read(requests).catch((error: unknown) => this.#over(asGrpcError(error)));
    try {
      for (;;) {
        for (let next = this.#out.shift(); next !== undefined; next = this.#out.shift()) {
          this.#unreadBytes -= next.length;
          yield next;
        }
        if (this.#end === null) return;
        if (this.#end !== undefined) throw this.#end;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
          if (this.#out.length > 0 || this.#end !== undefined) resolve();
        });
      }
    } finally {
      context.draining.removeEventListener('abort', stop);
      await this.#session.made?.end('the host has gone');
      this.#releaseMemory();
    }
  }

  async #read(requests: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const bytes of requests) {
      if (this.#end !== undefined) return;
      const messages = readHostMessages(asBuffer(bytes)).filter((message) => this.#takes(message));
      if (messages.length > 0) this.#session.made?.receive(messages as ToHandler[]);
    }
    // The host has ended its side, or this server ends its streams: what was asked is answered.
    this.#isStopping = true;
    this.#endWhenIdle();
  }

  /** Whether the session gets the message; the others are answered here. */
  #takes(message: HostMessage): boolean {
    switch (message.kind) {
      case 'ping':
        this.#send([{ kind: 'pong' }]);
        return false;
      case 'open':
        return this.#opens(message);
      case 'prepare':
        return this.#prepares(message);
      case 'forget':
        this.#capabilities.delete(message.slot);
        return true;
      case 'ask':
      case 'charge':
      case 'write':
      case 'look':
      case 'reset':
      case 'renderPage':
        return this.#asks(message.call.number, message.kind === 'ask' ? this.#kindOf(message) : message.kind);
      case 'cancel':
      case 'close':
        return true;
    }
  }

  #kindOf({ slot }: Ask): AskedKind {
    return this.#capabilities.get(slot) === 'enrich' ? 'lookup' : 'check';
  }

  #asks(number: CallNumber, kind: AskedKind): boolean {
    if (this.#isStopping) {
      const error = { name: 'Unavailable', message: 'the plugin is stopping' };
      this.#send([answerOf({ kind: 'failed', number, error }, kind)]);
      return false;
    }
    this.#calls.set(number, kind);
    return true;
  }

  #opens(message: Open & { readonly contract: number }): boolean {
    const adapter = this.#adapters.get(message.adapter);
    const refuse = (why: string): boolean => {
      this.#send([{ kind: 'openFailed', why }]);
      this.#over(null);
      return false;
    };
    if (this.#session.made !== undefined) return refuse('the stream has a handler already');
    if (message.contract !== CONTRACT_VERSION)
      return refuse(
        `the host speaks version ${message.contract} of the plugin contract, and the plugin ${CONTRACT_VERSION}; update the older of them`,
      );
    if (adapter === undefined)
      return refuse(`there is no adapter ${message.adapter} here, but ${[...this.#adapters.keys()].join(', ')}`);
    const config = parsed(adapter.config, message.config ?? {});
    if ('why' in config) return refuse(`its config: ${config.why}`);
    [this.#memory, this.#releaseMemory] = this.#shared.of(message);
    const { clock, restartAfterMs } = this.#options;
    this.#session.adapter = adapter;
    this.#session.made = new Session({
      adapterOf: () => adapter,
      shared: this.#memory,
      send: (messages) => this.#sendAll(messages),
      ...(clock === undefined ? {} : { clock }),
      ...(restartAfterMs === undefined ? {} : { restartAfterMs }),
    });
    this.#session.made.receive([{ ...message, config: config.value }]);
    return false;
  }

  #prepares(message: Prepare): boolean {
    const { slot, capability, rule } = message;
    this.#capabilities.set(slot, capability);
    const schema = this.#session.adapter?.serves[capability]?.params;
    const params = schema === undefined ? { value: undefined } : parsed(schema, rule.params ?? {});
    if ('why' in params) {
      this.#send([{ kind: 'prepared', slot, why: `its params: ${params.why}` }]);
      return false;
    }
    (rule as { params: unknown }).params = params.value;
    return true;
  }

  /** Throws if one of them cannot be written; then none is. */
  #sendAll(messages: readonly FromHandler[]): void {
    this.#send(
      messages.map((message) =>
        message.kind === 'answered' || message.kind === 'failed'
          ? answerOf(message, this.#calls.get(message.number) ?? 'write')
          : answerOf(message, 'write'),
      ),
    );
    for (const message of messages) {
      if (message.kind === 'answered' || message.kind === 'failed') this.#calls.delete(message.number);
      else if (message.kind === 'closed' || message.kind === 'openFailed') this.#over(null);
    }
    this.#endWhenIdle();
  }

  #send(messages: readonly PluginMessage[]): void {
    const batches = writeBatches(this.#writer, PLUGIN_MESSAGES, messages, (batch) => new Uint8Array(batch));
    for (const batch of batches) this.#unreadBytes += batch.length;
    this.#out.push(...batches);
    if (this.#unreadBytes > MAX_UNREAD_BYTES)
      this.#over(new GrpcError(Status.RESOURCE_EXHAUSTED, 'the host does not read its answers'));
    this.#wake();
  }

  /** The server drains: running calls are answered, and no others are taken. */
  #stop(): void {
    this.#isStopping = true;
    this.#endWhenIdle();
  }

  #endWhenIdle(): void {
    if (this.#isStopping && this.#calls.size === 0) this.#over(null);
  }

  #over(why: GrpcError | null): void {
    this.#end ??= why;
    this.#wake();
  }
}

const asGrpcError = (error: unknown): GrpcError =>
  error instanceof GrpcError ? error : new GrpcError(Status.INTERNAL, messageOf(error), { cause: error });

/** A host's values are checked by the adapter itself: a description cannot tell all that its schema does. */
function parsed(schema: z.ZodType, value: unknown): { readonly value: unknown } | { readonly why: string } {
  const result = schema.safeParse(value);
  if (result.success) return { value: result.data };
  return {
    why: result.error.issues
      .map(({ path, message }) => (path.length === 0 ? message : `${path.map(String).join('.')}: ${message}`))
      .join('; '),
  };
}

/** Memory of handlers, shared by the workers of one host: their streams open the same handler with the same config. */
class SharedMemories {
  readonly #memories = new Map<string, { readonly memory: SharedMemory; streams: number }>();

  of({ handler, adapter, folder, config, worker }: Open): [memory: SharedMemory, release: () => void] {
    const key = JSON.stringify([handler, adapter, folder, worker.count, config]);
    const known = this.#memories.get(key) ?? { memory: createSharedMemory(), streams: 0 };
    known.streams++;
    this.#memories.set(key, known);
    return [
      known.memory,
      () => {
        if (--known.streams === 0) this.#memories.delete(key);
      },
    ];
  }
}
