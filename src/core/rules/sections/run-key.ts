/** `run:` of a handler: where it runs. */
import { dirname, resolve } from 'node:path';
import type { AdapterOrigin, DialTarget } from '../../../adapters/registry.ts';
import { type Fields, fieldsOf } from '../../../yaml/fields.ts';
import type { Findings } from '../../../yaml/findings.ts';
import { parseAddress } from '../../../text/parse-address.ts';
import { KEYS, RANGES, WORDS } from '../keys.ts';
import { type Node, nodeText } from '../../../yaml/nodes.ts';

export type HandlerRun =
  | { readonly kind: 'inline' }
  /** A process of its own, started again when it ends. */
  | { readonly kind: 'worker'; readonly memoryBytes: number | undefined }
  /** Behind an address, over gRPC. */
  | { readonly kind: 'dial'; readonly target: DialTarget };

const INLINE: HandlerRun = { kind: 'inline' };
const UNIT_BYTES: Readonly<Record<string, number>> = { MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** `origin`: where the adapter comes from; a thread imports it again. */
export function runOf(fields: Fields, origin: AdapterOrigin | undefined, findings: Findings): HandlerRun {
  const node = fields.node('run');
  const isDial = node?.kind === 'map' && (node.entries.has('dial') || node.entries.has('tls'));
  if (!isDial && origin?.module.endsWith('.json') === true) {
    findings.error(
      'RULES_VALUE',
      node?.place ?? fields.place,
      'this adapter is known by its description only; say where it runs: run: { dial: "unix:/run/plugin.sock" }',
    );
    return INLINE;
  }
  if (node === undefined || (node.kind === 'scalar' && node.value === 'inline')) return INLINE;
  if (isDial) return dialOf(node, findings);
  const isMap = node.kind === 'map';
  if (!isMap && !(node.kind === 'scalar' && node.value === 'worker')) {
    findings.error(
      'RULES_VALUE',
      node.place,
      `run is ${nodeText(node)}; expected one of ${WORDS.run.join(', ')} or { dial: ADDRESS }`,
    );
    return INLINE;
  }
  if (origin === undefined)
    findings.error(
      'RULES_VALUE',
      node.place,
      'this adapter is not the export of a module, so a worker cannot import it',
    );
  const worker = isMap ? fieldsOf(node, 'run', findings)?.only(KEYS.run).map('worker', 'worker') : undefined;
  return { kind: 'worker', memoryBytes: memoryOf(worker?.only(KEYS.worker), findings) };
}

function memoryOf(worker: Fields | undefined, findings: Findings): number | undefined {
  const node = worker?.node('memory');
  if (node === undefined) return undefined;
  const [, amount, unit = ''] = (node.kind === 'scalar' && /^(\d+)(MiB|GiB)$/.exec(String(node.value))) || [];
  const bytes = Number(amount) * (UNIT_BYTES[unit] ?? NaN);
  const [least, most] = RANGES.memory;
  if (bytes >= least && bytes <= most) return bytes;
  findings.error(
    'RULES_VALUE',
    node.place,
    `memory is ${nodeText(node)}; expected 32MiB to 1024GiB, such as 256MiB or 2GiB`,
  );
  return undefined;
}

function dialOf(node: Node, findings: Findings): HandlerRun {
  const fields = fieldsOf(node, 'run', findings)?.only(KEYS.runDial);
  fields?.required('dial', 'the address of the plugin, such as unix:/run/revoked.sock');
  const address = fields?.text('dial');
  const place = fields?.node('dial')?.place;
  if (address === undefined || place === undefined) return INLINE;
  if (parseAddress(address) === undefined) {
    findings.error(
      'RULES_VALUE',
      place,
      `dial is "${address}"; expected unix:PATH with at most 107 bytes, or HOST:PORT`,
    );
    return INLINE;
  }
  const folder = dirname(place.source.file);
  const target = { address: address.replace(/^unix:(?!\/)(.*)/, (_, path: string) => `unix:${resolve(folder, path)}`) };
  const tls = fields?.map('tls', 'tls')?.only(KEYS.tls);
  if (tls === undefined) return { kind: 'dial', target };
  const file = (key: string): { [file: string]: string } => {
    const path = tls.text(key);
    return path === undefined ? {} : { [key]: resolve(folder, path) };
  };
  if (tls.has('cert') !== tls.has('key'))
    findings.error('RULES_VALUE', tls.place, 'a certificate needs its key: write both cert and key, or neither');
  const serverName = tls.text('serverName');
  return {
    kind: 'dial',
    target: {
      ...target,
      tls: {
        ...file('ca'),
        ...file('cert'),
        ...file('key'),
        ...(serverName === undefined ? {} : { serverName }),
      },
    },
  };
}
