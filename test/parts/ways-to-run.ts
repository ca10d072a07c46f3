/** The ways to run a handler, for tests that hold in each. */
export interface WayToRun {
  readonly name: string;
  /** `run:` of a handler. */
  readonly run: string;
  /** Whether an endless loop, `process.exit` and memory without end are contained. */
  readonly isApart: boolean;
}

export const WAYS_TO_RUN: readonly WayToRun[] = [
  { name: 'inline', run: 'inline', isApart: false },
  { name: 'in a worker', run: '{ worker: { memory: 64MiB } }', isApart: true },
];
