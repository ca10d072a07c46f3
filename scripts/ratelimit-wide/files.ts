/** The reference's own reader beside ours, on odd files: whether a file loads, every limit, and the limits that descriptors match. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { isDeepStrictEqual } from 'node:util';
import { cacheKey } from '../../src/ratelimit/walk/cache-key.ts';
import { unitName } from '../../src/ratelimit/call.ts';
import { fileText } from '../../src/ratelimit/config/file-text.ts';
import { readConfigs } from '../../src/ratelimit/config/read.ts';
import { matchOf } from '../../src/ratelimit/walk/match.ts';
import { configDump } from '../../src/ratelimit/config/config-dump.ts';
import { type Ask, oddAsks, oddFile } from './odd-files.ts';
import { Random } from '../../test/parts/random.ts';

interface Limit {
  readonly FullKey: string;
  readonly Unit: string;
  readonly Name: string;
  readonly Key: string;
  readonly RequestsPerUnit: number;
  readonly Unlimited: boolean;
  readonly Shadow: boolean;
  readonly Quota: boolean;
  readonly Detailed: boolean;
  readonly Replaces: readonly string[];
  readonly Metadata: unknown;
}
interface Answer {
  readonly Error: string;
  readonly Dump: readonly string[] | null;
  readonly Limits: readonly (Limit | null)[] | null;
}

function own(bytes: Uint8Array, asks: readonly Ask[]): Answer {
  const { domains, findings } = readConfigs([fileText('f', bytes)], { mergeDomains: false });
  const error = findings.find(({ severity }) => severity === 'error');
  if (error !== undefined)
    return { Error: `${error.position.line}:${error.position.column} ${error.message}`, Dump: null, Limits: null };
  return {
    Error: '',
    Dump: configDump(domains).replace(/\n+$/, '').split('\n').toSorted(),
    Limits: asks.map(({ Domain, Entries }) => {
      const root = domains.get(Domain);
      const match = root === undefined ? undefined : matchOf(root, Domain, Entries);
      if (match === undefined) return null;
      const { limit, metricKey, sharedValues } = match;
      return {
        FullKey: metricKey,
        Unit: limit.unlimited ? 'UNKNOWN' : unitName(limit.unit),
        Name: limit.name,
        RequestsPerUnit: limit.requestsPerUnit,
        Unlimited: limit.unlimited,
        Shadow: limit.shadow,
        Quota: limit.quota,
        Detailed: false,
        Key: limit.unlimited
          ? ''
          : cacheKey('compatible', {
              prefix: '',
              domain: Domain,
              entries: Entries,
              sharedValues,
              windowS: limit.window.lengthS,
              windowStartS: 0,
            }),
        Replaces: limit.replaces,
        Metadata: limit.metadata ?? null,
      };
    }),
  };
}

/** Starts the reader and asks it one question after the other. */
async function* answersOf(program: string, questions: Iterable<string>): AsyncGenerator<Answer> {
  const reader = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: reader.stdout })[Symbol.asyncIterator]();
  for (const question of questions) {
    reader.stdin.write(`${question}\n`);
    const { value, done } = await lines.next();
    if (done === true) throw new Error('the reference ended');
    yield JSON.parse(value) as Answer;
  }
  reader.stdin.end();
}

/** Prints the first differences, `most` of them; returns how many there are. */
export async function compareFiles(program: string, firstSeed: number, count: number, most: number): Promise<number> {
  const seeds: readonly number[] = Array.from({ length: count }, (_, at) => firstSeed + at);
  const made = (seed: number): { bytes: Uint8Array; asks: readonly Ask[] } => {
    const random = new Random(seed);
    return { bytes: oddFile(random), asks: oddAsks(random) };
  };
  const questions = seeds.map((seed) => {
    const { bytes, asks } = made(seed);
    return JSON.stringify({
      Files: [{ Name: 'f', Content: Buffer.from(bytes).toString('base64') }],
      Merge: false,
      Asks: asks,
    });
  });
  let at = 0;
  let differences = 0;
  let loaded = 0;
  for await (const reference of answersOf(program, questions)) {
    const seed = seeds[at++] as number;
    const { bytes, asks } = made(seed);
    let ours: Answer;
    try {
      ours = own(bytes, asks);
    } catch (error) {
      ours = { Error: `THROWN ${error instanceof Error ? error.stack : String(error)}`, Dump: null, Limits: null };
    }
    if (reference.Error === '') loaded++;
    const why = difference(ours, reference, asks, bytes);
    if (why === undefined) continue;
    if (++differences <= most)
      console.log(
        `file ${seed}: ${why}\n${Buffer.from(bytes)
          .toString()
          .replaceAll(/[^\n\u0020-\u007e]/gu, (character) => `<${character.codePointAt(0)?.toString(16)}>`)
          .replaceAll(/^/gm, '    | ')}`,
      );
  }
  console.log(`files ${firstSeed} to ${firstSeed + count - 1}: ${loaded} load in the reference; ${differences} differ`);
  return differences;
}

function hasRepeatedKey(bytes: Uint8Array): boolean {
  return readConfigs([fileText('f', bytes)], { mergeDomains: false }).findings.some(
    ({ code }) => code === 'RATELIMIT_REPEATED_KEY',
  );
}

function difference(ours: Answer, reference: Answer, asks: readonly Ask[], bytes: Uint8Array): string | undefined {
  if (ours.Error !== '' || reference.Error !== '') {
    if (ours.Error.startsWith('THROWN')) return ours.Error;
    // Intended: ours reads only the last of a repeated key, and loads YAML that libyaml's scanner rejects.
    if (
      ours.Error === '' &&
      (hasRepeatedKey(bytes) ||
        /error loading config file: yaml: (?!unmarshal errors)/.test(reference.Error) ||
        /&\w+:/.test(Buffer.from(bytes).toString()))
    )
      return undefined;
    return (ours.Error === '') === (reference.Error === '')
      ? undefined
      : `sluice: ${ours.Error || 'loads'}\n  reference: ${reference.Error || 'loads'}`;
  }
  if (!isDeepStrictEqual(ours.Dump, reference.Dump))
    return `what is in force: ${JSON.stringify(ours.Dump)}\n  reference: ${JSON.stringify(reference.Dump)}`;
  for (const [at, ask] of asks.entries()) {
    const [a, b] = [ours.Limits?.[at] ?? null, reference.Limits?.[at] ?? null];
    const isSame =
      a === null || b === null
        ? a === b
        : Object.keys(a).every(
            (name) =>
              name === 'Detailed' ||
              (name === 'Metadata' &&
                (b.Metadata === null || /^"proto:\sgoogle\.protobuf\.Value/.test(JSON.stringify(b.Metadata)))) ||
              isDeepStrictEqual(a[name as keyof Limit], b[name as keyof Limit]),
          );
    if (!isSame) return `${JSON.stringify(ask)}\n  sluice:    ${JSON.stringify(a)}\n  reference: ${JSON.stringify(b)}`;
  }
  return undefined;
}
