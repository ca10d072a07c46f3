/**
 * A channel to a handler behind an address: one stream of `sluice.plugin.v1` for each handler.
 * **In**: an adapter, an address. **Out**: channels. **Fails**: a channel is `gone` when its stream ends, and is given up when the plugin
 * is silent, does not read, or sends what is no message of the contract.
 */
import { type Adapter, type CheckAnswer, type Shape, type ShapeSpec, Unavailable } from '../contract.ts';
import { CONTRACT_VERSION } from '../contract/version.ts';
import type {
  Channel,
  ChannelEvents,
  FromHandler,
  OpenChannel,
  Prepare,
  Slot,
  ToHandler,
} from '../isolated/protocol.ts';
import { messageOf } from '../../text/message-of.ts';
import { Malformed } from '../../protobuf/malformed.ts';
import { ProtobufWriter } from '../../protobuf/writer.ts';
import { type GrpcError, type OutgoingStream, Status, statusName } from '../../transport/index.ts';
import { Plugin } from '../../../gen/sluice/plugin/v1/plugin_pb.ts';
import { boundedText } from './bounded-text.ts';
import { MAX_MESSAGE_BYTES } from './codec/batch.ts';
import { CannotCross } from './codec/cannot-cross.ts';
import { type HostMessage, hostMessageWriter } from './codec/host-messages.ts';
import type { Pong } from './codec/plugin-messages.ts';
import { readPluginMessages } from './codec/read-plugin-messages.ts';
import type { Connection, Connections } from './connections.ts';
import type { DialTarget } from './dial-target.ts';
import { disagreement, outputsBeyond } from './description.ts';

/** How often a plugin is listened for; after one interval of silence it is sent a Ping, after these it is given up. */
const LISTEN_EVERY_MS = 1000;
const SILENT_INTERVALS = 5;
/** What may wait for a plugin that does not read. */
const MAX_UNREAD_BYTES = 16 * 1024 * 1024;

export interface DialOptions {
  /** Default 1 s. */
  readonly listenEveryMs?: number;
}

export const dial =
  (connections: Connections, target: DialTarget, adapter: Adapter, options: DialOptions = {}): OpenChannel =>
  async (events, signal) => {
    const connection = await connections.acquire(target);
    const description = await connection.described;
    const problem = signal.aborted ? 'given up while opening' : disagreement(adapter, description);
    if (problem !== undefined) {
      connection.release();
      throw new Unavailable(problem);
    }
    try {
      const undeclared = outputsBeyond(adapter, description);
      const known = undeclared.length === 0 ? events : withoutOutputs(undeclared, events);
      return new StreamChannel(connection, adapter, known, options.listenEveryMs ?? LISTEN_EVERY_MS);
    } catch (error) {
      // The connection went away since it was acquired.
      connection.release();
      throw new Unavailable(messageOf(error), 0, { cause: error });
    }
  };

/** The answers of a plugin that is newer than its description here. */
const withoutOutputs = (names: readonly string[], events: ChannelEvents): ChannelEvents => ({
  ...events,
  received(messages) {
    for (const message of messages) {
      if (message.kind !== 'answered' || message.by !== 'check') continue;
      const { output } = message.answer as CheckAnswer;
      if (output !== undefined) for (const name of names) delete (output as Record<string, unknown>)[name];
    }
    events.received(messages);
  },
});

/** Statuses of a server that has no room for the stream now, or stops. */
const AWAY: ReadonlySet<number> = new Set([Status.RESOURCE_EXHAUSTED, Status.UNAVAILABLE]);

const PING: readonly HostMessage[] = [{ kind: 'ping' }];

class StreamChannel implements Channel {
  readonly #connection: Connection;
  readonly #events: ChannelEvents;
  readonly #stream: OutgoingStream;
  readonly #shapes: SlotShapes;
  readonly #write: (messages: readonly HostMessage[]) => Uint8Array[];
  readonly #listening: NodeJS.Timeout;
  /** Intervals since the plugin was heard; counted, so that a pause of this process is not held against the plugin. */
  #silence = 0;
  #wasHeard = false;
  #isOver = false;

  constructor(connection: Connection, adapter: Adapter, events: ChannelEvents, listenEveryMs: number) {
    this.#connection = connection;
    this.#events = events;
    this.#shapes = new SlotShapes(adapter);
    this.#write = hostMessageWriter(new ProtobufWriter(), (slot) => this.#shapes.of(slot));
    this.#stream = connection.client.open(`/${Plugin.typeName}/Handle`, MAX_MESSAGE_BYTES, {
      message: (bytes) => this.#received(bytes),
      goingAway: () => {
        if (!this.#isOver) this.#events.leaving();
      },
      over: (why, isItsOwn) => this.#gone(whyOver(why), isItsOwn && AWAY.has(why.code)),
    });
    this.#listening = setInterval(() => this.#listen(listenEveryMs), listenEveryMs).unref();
  }

  send(messages: readonly ToHandler[]): void {
    if (this.#isOver) return;
    for (const message of messages) this.#shapes.follow(message);
    for (const batch of this.#encoded(messages)) this.#stream.send(batch);
    const { unreadBytes } = this.#stream;
    if (unreadBytes > MAX_UNREAD_BYTES)
      this.#giveUp(`it does not read what it is sent: ${unreadBytes} bytes wait for it`);
  }

  end(): void {
    if (this.#over()) this.#stream.cancel();
  }

  #encoded(messages: readonly ToHandler[]): readonly Uint8Array[] {
    if (!messages.some(({ kind }) => kind === 'open')) return this.#write(messages as readonly HostMessage[]);
    try {
      return this.#write(messages.map(withContract));
    } catch (error) {
      if (messages.length > 1 || !(error instanceof CannotCross)) throw error;
      const why = `its config cannot be sent: ${error.message}`;
      queueMicrotask(() => {
        if (!this.#isOver) this.#events.received([{ kind: 'openFailed', why }]);
      });
      return [];
    }
  }

  #received(bytes: Buffer): void {
    if (this.#isOver) return;
    this.#silence = 0;
    this.#wasHeard = true;
    let messages: (FromHandler | Pong)[];
    try {
      messages = readPluginMessages(bytes);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      return this.#giveUp(`it sent ${bytes.length} bytes that are no HandleResponse: ${error.message}`);
    }
    const heard = messages.filter((message): message is FromHandler => message.kind !== 'pong');
    if (heard.length > 0) this.#events.received(heard);
  }

  #listen(everyMs: number): void {
    const silence = ++this.#silence;
    if (silence > SILENT_INTERVALS) {
      this.#connection.abandon();
      const forS = Math.round((SILENT_INTERVALS * everyMs) / 100) / 10;
      this.#giveUp(
        this.#wasHeard
          ? `it has been silent for ${forS} s; it hangs, or does not answer Ping`
          : `it has said nothing on the stream for ${forS} s; it hangs, or its server runs fewer streams at once than it has handlers, ` +
              'each in every worker of the host: give it more threads',
        true,
      );
    } else if (silence > 1) for (const batch of this.#write(PING)) this.#stream.send(batch);
  }

  #giveUp(why: string, isAway = false): void {
    this.#stream.cancel();
    this.#gone(why, isAway);
  }

  #gone(why: string, isAway: boolean): void {
    if (this.#over()) this.#events.gone(why, isAway);
  }

  #over(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    clearInterval(this.#listening);
    this.#connection.release();
    return true;
  }
}

const withContract = (message: ToHandler): HostMessage =>
  message.kind === 'open' ? { ...message, contract: CONTRACT_VERSION } : message;

function whyOver({ code, message }: GrpcError): string {
  if (code === Status.OK) return 'it ended the stream';
  const name = statusName(code) ?? `status ${code}`;
  return `its stream ended with ${name}${message === '' ? '' : `: ${boundedText(message)}`}`;
}

/** The input types of each slot, so that a value is sent as the type of its shape. */
class SlotShapes {
  readonly #adapter: Adapter;
  readonly #shapes = new Map<Slot, Shape | 'any'>();
  #config: unknown;

  constructor(adapter: Adapter) {
    this.#adapter = adapter;
  }

  follow(message: ToHandler): void {
    if (message.kind === 'open') this.#config = message.config;
    else if (message.kind === 'forget') this.#shapes.delete(message.slot);
    else if (message.kind === 'prepare') this.#shapes.set(message.slot, this.#shapeOf(message));
  }

  of(slot: Slot): Shape | 'any' {
    return this.#shapes.get(slot) ?? 'any';
  }

  #shapeOf({ capability, rule: { input, params } }: Prepare): Shape | 'any' {
    if (capability === 'quota') return 'any';
    if (input !== undefined) return input;
    const spec = this.#adapter.serves[capability]?.input as ShapeSpec | undefined;
    return typeof spec === 'function' ? spec(this.#config, params) : (spec ?? 'any');
  }
}
