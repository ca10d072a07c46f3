/**
 * Exports metrics to statsd over TCP, or to DogStatsD over UDP.
 * **In**: counters. **Out**: at each interval, a line for each counter that has grown. **Fails**: never; while statsd is unavailable,
 * counters accumulate and the next flush sends the sum.
 *
 * docs/decisions/0022-our-own-statsd-client.md says why no library does this.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';
import { settlesWithin } from '../../time/settles-within.ts';
import type { RatelimitMetrics } from './metrics.ts';
import type { Mogrified, Mogrifier } from './mogrifiers.ts';

export interface StatsdOptions {
  readonly host: string;
  readonly port: number;
  readonly kind: 'statsd' | 'dogstatsd';
  readonly everyMs: number;
  readonly tags: ReadonlyMap<string, string>;
  /** Rewrites names for DogStatsD. */
  readonly mogrifier?: Mogrifier | undefined;
}

/** Fits one UDP packet of an Ethernet network without fragmentation. */
const MAX_PACKET_BYTES = 1400;
/** How long the last lines may take; a statsd that reads nothing must not hold up the end of the server. */
const LAST_LINES_MS = 1000;

export class StatsdClient {
  readonly #metrics: RatelimitMetrics;
  readonly #options: StatsdOptions;
  readonly #flushed = new Map<string, number>();
  /** Each name is rewritten once, not at each flush. */
  readonly #mogrified = new Map<string, Mogrified>();
  #flushedTimes: readonly number[] = [];
  #tcp: Socket | undefined;
  #udp: UdpSocket | undefined;
  /** Packets that the system does not have yet. */
  readonly #sending = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;

  constructor(metrics: RatelimitMetrics, options: StatsdOptions) {
    this.#metrics = metrics;
    this.#options = options;
    this.#timer = setInterval(() => this.#flush(), options.everyMs);
    this.#timer.unref();
    if (options.kind === 'dogstatsd')
      this.#udp = createSocket('udp4')
        .unref()
        .on('error', () => {});
    else this.#connect();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#flush();
    await settlesWithin(LAST_LINES_MS, Promise.all([...this.#sending, this.#tcpEnd()]));
    this.#udp?.close();
    this.#tcp?.destroy();
  }

  #tcpEnd(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#tcp === undefined || this.#tcp.readyState !== 'open') return resolve();
      this.#tcp.end(() => resolve());
    });
  }

  #connect(): void {
    const { host, port } = this.#options;
    const socket = connect({ host, port }).unref();
    socket.on('error', () => {}); // 'close' follows, and the next flush reconnects
    socket.on('close', () => {
      this.#tcp = undefined;
    });
    this.#tcp = socket;
  }

  #flush(): void {
    if (this.#options.kind === 'statsd') {
      if (this.#tcp === undefined) return this.#connect();
      if (this.#tcp.readyState !== 'open' || this.#tcp.writableLength > 0) return;
      this.#tcp.write(
        this.#lines()
          .map((line) => `${line}\n`)
          .join(''),
      );
      return;
    }
    let packet = '';
    for (const line of this.#lines()) {
      if (packet.length + line.length >= MAX_PACKET_BYTES) {
        this.#send(packet);
        packet = '';
      }
      packet += packet === '' ? line : `\n${line}`;
    }
    if (packet !== '') this.#send(packet);
  }

  /** The host is looked up first, also where it is an address; a socket that is closed before that drops the packet. */
  #send(packet: string): void {
    const { host, port } = this.#options;
    const sent = new Promise<void>((resolve) => {
      this.#udp?.send(packet, port, host, () => resolve());
    });
    this.#sending.add(sent);
    void sent.then(() => this.#sending.delete(sent));
  }

  #lines(): string[] {
    const lines: string[] = [];
    for (const [name, value] of this.#metrics.counters()) {
      const grown = value - (this.#flushed.get(name) ?? 0);
      if (grown === 0) continue;
      this.#flushed.set(name, value);
      lines.push(this.#line(name, `${grown}|c`));
    }
    for (const [name, read] of this.#metrics.gauges) lines.push(this.#line(name, `${read()}|g`));
    const { boundsMs, buckets } = this.#metrics.responseTimes;
    const times = [...buckets];
    for (const [at, count] of times.entries()) {
      const grown = count - (this.#flushedTimes[at] ?? 0);
      // One line for each bucket; its sample rate gives the number of calls.
      if (grown > 0)
        lines.push(
          this.#line(
            'ratelimit_server.ShouldRateLimit.response_time',
            `${boundsMs[at] ?? boundsMs.at(-1)}|ms${grown > 1 ? `|@${1 / grown}` : ''}`,
          ),
        );
    }
    this.#flushedTimes = times;
    return lines;
  }

  #line(path: string, value: string): string {
    const { kind, tags: own } = this.#options;
    // Tags as lyft/gostats writes them
    if (kind === 'statsd') return `${path}${[...own].map(([tag, text]) => `.__${tag}=${text}`).join('')}:${value}`;
    const { name, tags: more } = this.#named(path);
    const tags = [...own, ...more];
    return `${name}:${value}${tags.length === 0 ? '' : `|#${tags.map(([tag, text]) => `${tag}:${text}`).join(',')}`}`;
  }

  #named(path: string): Mogrified {
    const { mogrifier } = this.#options;
    if (mogrifier === undefined) return { name: path, tags: [] };
    const known = this.#mogrified.get(path) ?? mogrifier(path);
    this.#mogrified.set(path, known);
    return known;
  }
}
