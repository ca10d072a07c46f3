/** `run:` of a handler: where it runs. */
import type { AdapterOrigin } from '../../../adapters/registry.ts';
import { type Fields, fieldsOf } from '../fields.ts';
import type { Findings } from '../yaml/findings.ts';
import { nodeText } from '../yaml/nodes.ts';

export type HandlerRun =
  | { readonly kind: 'inline' }
  /** A thread of its own, started again when it ends. */
  | { readonly kind: 'worker'; readonly memoryBytes: number | undefined };

export const INLINE: HandlerRun = { kind: 'inline' };
const KINDS = ['inline', 'worker'];
const UNIT_BYTES: Readonly<Record<string, number>> = { MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** `origin`: where the adapter comes from; a thread imports it again. */
export function runOf(fields: Fields, origin: AdapterOrigin | undefined, findings: Findings): HandlerRun {
  const node = fields.node('run');
  if (node === undefined || (node.kind === 'scalar' && node.value === 'inline')) return INLINE;
  const isMap = node.kind === 'map';
  if (!isMap && !(node.kind === 'scalar' && node.value === 'worker')) {
    findings.error('RULES_VALUE', node.place, `run is ${nodeText(node)}; expected one of ${KINDS.join(', ')}`);
    return INLINE;
  }
  if (origin === undefined)
    findings.error(
      'RULES_VALUE',
      node.place,
      'this adapter is not the export of a module, so a worker cannot import it',
    );
  const worker = isMap ? fieldsOf(node, 'run', findings)?.only(['worker']).map('worker', 'worker') : undefined;
  return { kind: 'worker', memoryBytes: memoryOf(worker?.only(['memory']), findings) };
}

function memoryOf(worker: Fields | undefined, findings: Findings): number | undefined {
  const node = worker?.node('memory');
  if (node === undefined) return undefined;
  const [, amount, unit = ''] = (node.kind === 'scalar' && /^(\d+)(MiB|GiB)$/.exec(String(node.value))) || [];
  const bytes = Number(amount) * (UNIT_BYTES[unit] ?? NaN);
  if (bytes >= LEAST_MEMORY_BYTES) return bytes;
  findings.error(
    'RULES_VALUE',
    node.place,
    `memory is ${nodeText(node)}; expected 32MiB or more, such as 256MiB or 2GiB`,
  );
  return undefined;
}

/** A thread takes about 10 MiB before it does anything. */
const LEAST_MEMORY_BYTES = 32 * 1024 ** 2;
