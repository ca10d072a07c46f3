/** Algorithms counted by quota-memory, at a time of the test's own: opened as `sluice ratelimit` opens it. */
import quotaMemory from '../../../plugins/quota-memory/adapter.ts';
import { openForTest } from '../../../src/adapters/testing/open-for-test.ts';
import { storeOf } from '../../../src/serve/ratelimit/open-algorithms.ts';
import type { AlgorithmStore, AlgorithmStores } from '../../../src/ratelimit/charge/algorithm-store.ts';

export async function memoryAlgorithms(
  nowMs: () => number,
): Promise<AlgorithmStores & { readonly store: AlgorithmStore; readonly local: AlgorithmStore }> {
  const open = async (): Promise<AlgorithmStore> => {
    const { handler } = await openForTest(quotaMemory, {
      config: {},
      clock: { nowMs, monotonicMs: nowMs, advance() {}, set() {}, toNextWindow() {} },
    });
    return storeOf(handler, () => undefined);
  };
  const [store, local] = [await open(), await open()];
  return { store, local, storeOf: () => store };
}

/** Of files that have no such limit. */
export const noAlgorithms: AlgorithmStores = {
  storeOf: () => {
    throw new Error('no limit of these files has an algorithm');
  },
  get local(): AlgorithmStore {
    throw new Error('no limit of these files has an algorithm');
  },
};
