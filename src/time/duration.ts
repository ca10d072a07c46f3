/** Durations as text: in our own form, and in Go's. */

export const DURATION_UNITS = ['ms', 's', 'm', 'h', 'd'] as const;
export type DurationUnit = (typeof DURATION_UNITS)[number];
const UNIT_MS: Readonly<Record<DurationUnit, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Our form: one number and one unit, such as `50ms` or `1.5h`, in whole milliseconds from 1; `undefined` for anything else. */
export function durationMs(text: string, units: readonly DurationUnit[] = DURATION_UNITS): number | undefined {
  const [, amount, word] = /^(\d+(?:\.\d+)?)([a-z]+)$/.exec(text) ?? [];
  const unit = units.find((known) => known === word);
  if (unit === undefined) return undefined;
  const ms = Math.round(Number(amount) * UNIT_MS[unit]);
  return ms > 0 && Number.isSafeInteger(ms) ? ms : undefined;
}

/** Our form, in the largest unit that divides the time: `1h`, `90s`, `1500ms`. */
export function durationText(ms: number): string {
  const unit = DURATION_UNITS.findLast((one) => ms >= UNIT_MS[one] && ms % UNIT_MS[one] === 0) ?? 'ms';
  return `${ms / UNIT_MS[unit]}${unit}`;
}

const UNIT_NANOS: Readonly<Record<string, bigint>> = {
  h: 3_600_000_000_000n,
  m: 60_000_000_000n,
  s: 1_000_000_000n,
  ms: 1_000_000n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ns: 1n,
};

/**
 * Go's form (time.ParseDuration), in exact nanoseconds, without Go's limit of 292 years: `1h30m`, `-1.5s`, `100us`, `0`; else `undefined`.
 */
export function goDurationNanos(text: string): bigint | undefined {
  const match = /^([+-]?)((?:\d+(?:\.\d*)?|\.\d+)(?:h|ms|us|µs|μs|ns|m|s))+$/.exec(text);
  if (match === null) return /^[+-]?0$/.test(text) ? 0n : undefined;
  let nanos = 0n;
  for (const [, whole = '', part = '', unit = ''] of text.matchAll(/(\d*)(?:\.(\d*))?(h|ms|us|µs|μs|ns|m|s)/g)) {
    const size = UNIT_NANOS[unit] ?? 0n;
    nanos +=
      BigInt(whole === '' ? 0 : whole) * size + (BigInt(part === '' ? 0 : part) * size) / 10n ** BigInt(part.length);
  }
  return match[1] === '-' ? -nanos : nanos;
}

/** Go's form in milliseconds, within Go's range. */
export function goDurationMs(text: string): number | undefined {
  const nanos = goDurationNanos(text);
  return nanos === undefined || BigInt.asIntN(64, nanos) !== nanos ? undefined : Number(nanos) / 1e6;
}

/** Go's own text (Duration.String): `2s`, `1m0s`, `1h30m0s`, `1.5ms`, `0s`. */
export function goDurationText(nanos: bigint): string {
  if (nanos < 0n) return `-${goDurationText(-nanos)}`;
  if (nanos === 0n) return '0s';
  for (const [unit, limit] of [
    ['ns', 1000n],
    ['µs', 1_000_000n],
    ['ms', 1_000_000_000n],
  ] as const)
    if (nanos < limit) return `${decimal(nanos, UNIT_NANOS[unit] ?? 1n)}${unit}`;
  const minutes = nanos / 60_000_000_000n;
  const seconds = `${decimal(nanos % 60_000_000_000n, 1_000_000_000n)}s`;
  if (minutes === 0n) return seconds;
  return minutes < 60n ? `${minutes}m${seconds}` : `${minutes / 60n}h${minutes % 60n}m${seconds}`;
}

/** `amount / unit`, exactly; `unit` is a power of ten. */
function decimal(amount: bigint, unit: bigint): string {
  const part = amount % unit;
  if (part === 0n) return String(amount / unit);
  const digits = String(unit).length - 1;
  return `${amount / unit}.${String(part).padStart(digits, '0').replace(/0+$/, '')}`;
}
