/**
 * The adapters of handlers that run behind an address.
 * **In**: names with addresses. **Out**: an adapter for each: that of this process, or as the plugin describes it.
 * **Fails**: with an {@link AdapterError} in the place of an adapter.
 */
import { toBinary } from '@bufbuild/protobuf';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Adapter } from '../contract.ts';
import { AdapterError } from '../errors.ts';
import { messageOf } from '../../text/message-of.ts';
import { AdapterSchema, type DescribeResponse } from '../../../gen/sluice/plugin/v1/plugin_pb.ts';
import { Connections } from './connections.ts';
import type { DialledAdapter, DialledName, DialTarget } from './dial-target.ts';
import { asDialled } from './as-dialled.ts';
import { checkVersion, describedAdapter, describedAdapters, readDescription } from './description.ts';

/** A policy waits for it. */
const DESCRIBE_MS = 1000;

export async function dialledAdapters(names: readonly DialledName[]): Promise<readonly DialledAdapter[]> {
  const connections = new Connections(DESCRIBE_MS);
  return Promise.all(
    names.map(async ({ name, here, target }) => {
      try {
        return {
          adapter:
            here === undefined
              ? adapterNamed(name, target.address, await described(connections, target))
              : asDialled(here),
        };
      } catch (error) {
        if (error instanceof AdapterError) return { error };
        throw error;
      }
    }),
  );
}

async function described(connections: Connections, target: DialTarget): Promise<DescribeResponse> {
  try {
    return await connections.describe(target);
  } catch (error) {
    throw new AdapterError(
      'PLUGIN_UNREACHABLE',
      `the adapter is not known here, so its plugin is asked for it: ${messageOf(error)}; with a description file in plugins the policy loads without it`,
      { cause: error },
    );
  }
}

/** Descriptions by address and name; an equal one gives the same adapter, so that a reload keeps the handler. */
const known = new Map<string, { readonly bytes: Uint8Array; readonly adapter: Adapter }>();

function adapterNamed(name: string, address: string, { contract, software, adapters }: DescribeResponse): Adapter {
  checkVersion(contract, software);
  const description = adapters.find((one) => one.name === name);
  if (description === undefined)
    throw new AdapterError(
      'PLUGIN_NO_ADAPTER',
      `${address} has no adapter ${name}; it has ${adapters.map((one) => one.name).join(', ') || 'none'}`,
    );
  const bytes = toBinary(AdapterSchema, description);
  const key = JSON.stringify([address, name]);
  const before = known.get(key);
  if (before !== undefined && Buffer.compare(before.bytes, bytes) === 0) return before.adapter;
  const adapter = describedAdapter(description);
  known.set(key, { bytes, adapter });
  return adapter;
}

const files = new Map<string, { readonly text: string; readonly adapters: readonly Adapter[] }>();

/** Those of a description file; the same ones while its text is the same. */
export function adaptersOfFile(url: string): readonly Adapter[] {
  const path = fileURLToPath(url);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new AdapterError('PLUGIN_BAD_DESCRIPTION', `${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  const before = files.get(path);
  if (before?.text === text) return before.adapters;
  try {
    const adapters = describedAdapters(readDescription(text));
    files.set(path, { text, adapters });
    return adapters;
  } catch (error) {
    if (!(error instanceof AdapterError)) throw error;
    throw new AdapterError(error.code, `${path}: ${error.message}`, { cause: error });
  }
}
