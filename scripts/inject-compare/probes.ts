/**
 * Probes of pods in the golden files of Istio of today, by our own template: the variable of the agent, byte for byte, and the probes and
 * hooks of the pod's own containers. All else in these files is of Istio's template, which needs its Helm functions.
 * **In**: a folder of golden files. **Out**: a line per file that differs; how many are equal. **Fails**: never.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROXY_CONTAINER } from '../../src/inject/contract.ts';
import { isObject, type JsonObject } from '../../src/text/json-object.ts';
import { PROBERS_VARIABLE } from '../../src/inject/probes.ts';
import { messageOf } from '../../src/text/message-of.ts';
import { configToday } from '../../test/parts/inject-configs.ts';
import { type Compared, difference, documentsIn, plain } from './documents.ts';
import { injectedFile } from './inject-file.ts';

const FILES = 'pkg/kube/inject/testdata/inject';
const HANDLERS = ['readinessProbe', 'livenessProbe', 'startupProbe', 'lifecycle'];

export async function compareProbes(checkout: string): Promise<Compared> {
  const folder = join(checkout, FILES);
  let [equal, runs] = [0, 0];
  for (const golden of readdirSync(folder).filter((name) => name.endsWith('.yaml.injected'))) {
    const input = golden.replace('.injected', '');
    const theirs = probesIn(readFileSync(join(folder, golden), 'utf8'));
    if (!existsSync(join(folder, input)) || !JSON.stringify(theirs).includes('/app-')) continue;
    runs++;
    const found = await injectedFile(join(folder, input), configToday()).then(
      (ours) => difference(plain(probesIn(ours)), plain(theirs)),
      messageOf,
    );
    if (found === undefined) equal++;
    else console.log(`${golden}, probes: ${found}`);
  }
  return { equal, runs };
}

/** Of each container, wherever it is. */
function probesIn(text: string): unknown {
  const found: Record<string, unknown>[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(visit);
    if (!isObject(value)) return;
    if (typeof value['image'] === 'string' && typeof value['name'] === 'string') found.push(ofContainer(value));
    Object.values(value).forEach(visit);
  };
  visit(documentsIn(text));
  return found
    .filter((entry) => Object.keys(entry).length > 1)
    .toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

function ofContainer(container: JsonObject): Record<string, unknown> {
  const { name, env } = container;
  if (name !== PROXY_CONTAINER)
    return Object.fromEntries(
      ['name', ...HANDLERS].filter((key) => key in container).map((key) => [key, container[key]]),
    );
  const variables = Array.isArray(env) ? env.filter(isObject) : [];
  const probers = variables.find((variable) => variable['name'] === PROBERS_VARIABLE)?.['value'];
  return probers === undefined ? { name } : { name, probers };
}
