import { TimeSlice } from '../time/time-slice.ts';
import type { Body } from './api-connection.ts';

/** Finds the JSON texts in a body while it arrives. */
interface Divider {
  take(chunk: Buffer): Iterable<string>;
}

/** Two slices may follow one another, the second after sockets were read. */
export const SLICE_MS = 1;

/** Calls `each` for every text of a body, in time slices, so that calls are answered in between. */
export async function inSlices(body: Body, divider: Divider, each: (text: string) => void): Promise<void> {
  const slice = new TimeSlice(SLICE_MS);
  for await (const chunk of body) {
    if (slice.isOver) await slice.next();
    for (const text of divider.take(chunk)) {
      each(text);
      if (slice.isOver) await slice.next();
    }
  }
}

/** An error of a sink: it is a bug, and retrying would repeat it. */
export class SinkError extends Error {}
