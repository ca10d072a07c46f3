/**
 * Compares expressions with cel-go on random ones: `npm run cel:compare -- [SEED] [COUNT]`.
 * **In**: a seed. **Out**: the shortest of each difference that docs/expressions.md does not have; how often those that it has came.
 * **Fails**: with exit code 1 if there is one that it does not have.
 */
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { type Answer, CelGo, OurSide } from './cel-compare/answers.ts';
import { Generator } from './cel-compare/generator.ts';
import { knownDifference } from './cel-compare/known.ts';
import { Random } from './cel-compare/random.ts';
import { randomBag } from './cel-compare/variables.ts';

const [seed = 1, count = 200_000] = process.argv.slice(2).map(Number);
const [BAGS, CHUNK, AGAIN, SHOWN] = [300, 2000, 12, Number(process.env['SHOWN'] ?? 5)];

const folder = resolve(import.meta.dirname, 'cel-compare');
const program = resolve(import.meta.dirname, '../.cache/go/bin/cel-compare');
const built = spawnSync('go', ['build', '-o', program, '.'], { cwd: folder, stdio: 'inherit' });
if (built.status !== 0) throw new Error('go build failed; its output is above', { cause: built.error });

const random = new Random(seed);
const bags = Array.from({ length: BAGS }, () => randomBag(random));
const generator = new Generator(random);
const ours = new OurSide(bags);
const theirs = new CelGo(program, bags);

interface Difference {
  readonly source: string;
  readonly bag: number;
  readonly our: Answer;
  readonly their: Answer;
}
const found = new Map<string, Difference[]>();
const known = new Map<string, number>();
const outcomes = new Map<string, number>();
const counted = (into: Map<string, number>, name: string): unknown => into.set(name, (into.get(name) ?? 0) + 1);

for (let done = 0; done < count; done += CHUNK) {
  const asked = Array.from({ length: Math.min(CHUNK, count - done) }, () => ({
    source: generator.expression(),
    bag: random.below(BAGS),
  }));
  const differing: (Difference & { readonly group: string })[] = [];
  for (const [index, their] of (await theirs.answers(asked)).entries()) {
    const { source, bag } = asked[index] ?? { source: '', bag: 0 };
    const our = ours.answer(source, bag);
    counted(outcomes, their.kind);
    const group = groupOf(our, their);
    if (group === undefined) continue;
    const name = knownDifference({ source, our, their, ourUnchecked: ours.answer(source, bag, true) });
    if (name !== undefined) counted(known, name);
    else differing.push({ group, source, bag, our, their });
  }
  // Go visits the entries of a map in another order each time
  const again = await theirs.answers(differing.flatMap((one) => Array.from({ length: AGAIN }, () => one)));
  for (const [index, { group, ...difference }] of differing.entries())
    if (again.slice(index * AGAIN, (index + 1) * AGAIN).some((their) => groupOf(difference.our, their) === undefined))
      counted(known, 'the order of the entries of a map');
    else found.set(group, [...(found.get(group) ?? []), difference]);
}
theirs.close();

/** What differs; `undefined` for equal answers. A constant that always fails is refused here when it is compiled. */
function groupOf(our: Answer, their: Answer): string | undefined {
  if (our.kind === 'value' && their.kind === 'value')
    return our.text === their.text ? undefined : `value: ${our.text.split(' ')[0]}, ${their.text.split(' ')[0]}`;
  if (our.kind === their.kind) return undefined;
  const isConstant =
    our.kind === 'refused' && (our.code === 'EXPRESSION_CONSTANT' || our.code === 'EXPRESSION_OVERFLOW');
  if (isConstant && their.kind === 'failed') return undefined;
  return `${our.kind}${our.kind === 'refused' ? ` ${our.code}` : ''}, ${their.kind}`;
}

for (const [group, differences] of [...found].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
  console.log(`\n== ${group}: ${differences.length}`);
  for (const { source, bag, our, their } of differences
    .toSorted((a, b) => a.source.length - b.source.length)
    .filter(isFirstOfItsShape())
    .slice(0, SHOWN)) {
    const values = Object.entries(bags[bag] ?? {}).filter(([name]) => new RegExp(`\\b${name}\\b`).test(source));
    console.log(`${JSON.stringify(source)} of ${JSON.stringify(Object.fromEntries(values))}`);
    console.log(`   ours ${shown(our)}\n   cel-go ${shown(their)}`);
  }
}

/** Literals and names of variables aside. */
function isFirstOfItsShape(): (difference: Difference) => boolean {
  const seen = new Set<string>();
  return ({ source }) => {
    const shape = source
      .replace(/[rRbB]*("""|'''|"|')(?:\\.|(?!\1).)*\1/gs, 'T')
      .replace(/(?<![\w"])-?[\d.]+(?:[xX][\da-fA-F]+|[eE][-+]?\d+)?/g, 'N')
      .replace(/\b([a-z])[a-z]?\b/g, '$1');
    return seen.size < seen.add(shape).size;
  };
}

function shown(answer: Answer): string {
  return answer.kind === 'value' ? answer.text : `${answer.kind}: ${answer.why.replaceAll('\n', ' ').slice(0, 160)}`;
}

const total = [...found.values()].reduce((sum, { length }) => sum + length, 0);
console.log(`\nseed ${seed}, ${count} expressions; cel-go:`, Object.fromEntries(outcomes));
console.log('meant (docs/expressions.md):', Object.fromEntries(known));
console.log(`${total} differences`);
process.exitCode = total === 0 ? 0 : 1;
