import { mkdir } from 'node:fs/promises';
import { Cursor } from './cursor.ts';
import { lockFolder } from './lock.ts';
import { putNewerAside } from './newer.ts';
import { lastSequence } from './reader.ts';
import { DiskSpool } from './spool.ts';
import type { Spool, SpoolOptions } from './types.ts';

/** Rejects if the folder cannot be used, or another one writes there; never because of what is in its files. */
export async function openSpool<T>(options: SpoolOptions): Promise<Spool<T>> {
  await mkdir(options.folder, { recursive: true });
  const lock = await lockFolder(options.folder);
  try {
    const segments = await putNewerAside(options.folder, options.log);
    const cursor = await Cursor.open(options.folder);
    const spool = new DiskSpool<T>(
      options,
      lock,
      cursor,
      segments,
      await lastSequence(options.folder, segments, options.log),
    );
    await spool.upkeep();
    void spool.inbox.take();
    return spool;
  } catch (error) {
    await lock.release();
    throw error;
  }
}
