/**
 * Tells statsd what was counted since it was last told: over TCP, or DogStatsD over UDP.
 * **In**: counters. **Out**: lines, every `everyMs`. **Fails**: never; what nobody takes is told the next time, with what came since.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';
import { RESPONSE_TIME_BUCKETS_S, type RatelimitMetrics } from './metrics.ts';
import type { Mogrified, Mogrifier } from './mogrifiers.ts';

export interface StatsdOptions {
  readonly host: string;
  readonly port: number;
  readonly kind: 'statsd' | 'dogstatsd';
  readonly everyMs: number;
  readonly tags: ReadonlyMap<string, string>;
  /** Of names that DogStatsD is told. */
  readonly mogrifier?: Mogrifier | undefined;
}

/** Of one UDP packet, so that it is not cut on its way. */
const MOST_PACKET_BYTES = 1400;

export class Statsd {
  readonly #metrics: RatelimitMetrics;
  readonly #options: StatsdOptions;
  readonly #told = new Map<string, number>();
  /** Patterns are tried once for a name, not each time it is told. */
  readonly #mogrified = new Map<string, Mogrified>();
  #timesTold: readonly number[] = [];
  #tcp: Socket | undefined;
  #udp: UdpSocket | undefined;
  readonly #timer: NodeJS.Timeout;

  constructor(metrics: RatelimitMetrics, options: StatsdOptions) {
    this.#metrics = metrics;
    this.#options = options;
    this.#timer = setInterval(() => this.#tell(), options.everyMs);
    this.#timer.unref();
    if (options.kind === 'dogstatsd')
      this.#udp = createSocket('udp4')
        .unref()
        .on('error', () => {});
    else this.#connect();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#tell();
    this.#udp?.close();
    await new Promise<void>((resolve) => {
      if (this.#tcp === undefined || this.#tcp.readyState !== 'open') return resolve();
      this.#tcp.end(() => resolve());
    });
    this.#tcp?.destroy();
  }

  #connect(): void {
    const { host, port } = this.#options;
    const socket = connect({ host, port }).unref();
    socket.on('error', () => {}); // close follows
    socket.on('close', () => {
      this.#tcp = undefined;
    });
    this.#tcp = socket;
  }

  #tell(): void {
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
    const { host, port } = this.#options;
    let packet = '';
    for (const line of this.#lines()) {
      if (packet.length + line.length >= MOST_PACKET_BYTES) {
        this.#udp?.send(packet, port, host, () => {});
        packet = '';
      }
      packet += packet === '' ? line : `\n${line}`;
    }
    if (packet !== '') this.#udp?.send(packet, port, host, () => {});
  }

  #lines(): string[] {
    const lines: string[] = [];
    for (const [name, value] of this.#metrics.counters()) {
      const more = value - (this.#told.get(name) ?? 0);
      if (more === 0) continue;
      this.#told.set(name, value);
      lines.push(this.#line(name, `${more}|c`));
    }
    for (const [name, read] of this.#metrics.gauges) lines.push(this.#line(name, `${read()}|g`));
    const times = [...this.#metrics.responseTimes];
    for (const [at, count] of times.entries()) {
      const more = count - (this.#timesTold[at] ?? 0);
      // One line for all that took about as long: statsd counts it as often as the rate says.
      if (more > 0)
        lines.push(
          this.#line(
            'ratelimit_server.ShouldRateLimit.response_time',
            `${(RESPONSE_TIME_BUCKETS_S[at] ?? RESPONSE_TIME_BUCKETS_S.at(-1) ?? 0) * 1000}|ms${more > 1 ? `|@${1 / more}` : ''}`,
          ),
        );
    }
    this.#timesTold = times;
    return lines;
  }

  #line(path: string, value: string): string {
    const { kind, tags: own } = this.#options;
    if (kind === 'statsd') return `${path}${[...own].map(([tag, text]) => `.__${tag}=${text}`).join('')}:${value}`; // as lyft/gostats writes tags
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

/** `NAME:VALUE,NAME:VALUE`. */
export function tagsOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    text
      .split(',')
      .filter((part) => part.includes(':'))
      .map((part): [string, string] => {
        const at = part.indexOf(':');
        return [part.slice(0, at).trim(), part.slice(at + 1).trim()];
      }),
  );
}
