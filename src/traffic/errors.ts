/** Problems of files of recorded calls; docs/errors.md is generated from this table. */
export const TRAFFIC_ERRORS = {
  TRAFFIC_NOT_JSON: {
    means: 'A line of a file of calls is not JSON. It is skipped.',
    fix: 'A file that is still being written may end in half a line. Otherwise give the files that `sluice record` writes, or JSON access logs of Envoy.',
  },
  TRAFFIC_NOT_A_CALL: {
    means:
      'A line of a file of calls is JSON, but neither a recorded call nor an entry of an access log. It is skipped.',
    fix: 'Correct the line as the message says; docs/replay.md shows the form.',
  },
  TRAFFIC_LINE_TOO_LONG: {
    means: 'A line of a file of calls is longer than 8 MiB. It is skipped without being read.',
    fix: 'Remove the line. `sluice record` writes none that is longer.',
  },
  TRAFFIC_VERSION: {
    means: 'A file of calls was written by a newer version of Sluice in a form that this one does not know.',
    fix: 'Read it with that version.',
  },
  TRAFFIC_UNREADABLE: {
    means: 'A file of calls cannot be read, or not to its end: it is missing, or its compressed data is damaged.',
    fix: 'Check the path and its permissions. The calls before the damage were taken.',
  },
} as const;

export type TrafficErrorCode = keyof typeof TRAFFIC_ERRORS;

/** `FILE:LINE CODE message`; line 0 for the file as a whole. */
export interface TrafficProblem {
  readonly file: string;
  readonly line: number;
  readonly code: TrafficErrorCode;
  readonly message: string;
}

const problemText = ({ file, line, code, message }: TrafficProblem): string =>
  `${file}${line === 0 ? '' : `:${line}`} ${code} ${message}`;

const MAX_KEPT = 20;

/** Counts all problems, and keeps the first ones. */
export class TrafficProblems {
  readonly first: TrafficProblem[] = [];
  count = 0;
  /** Calls that did not fit the recorder's buffer, as the files say. */
  skipped = 0;
  /** False: some file lacks more calls, of which nobody knows the number. */
  isSkippedKnown = true;

  skip(count: unknown): void {
    if (count === null) this.isSkippedKnown = false;
    else if (typeof count === 'number' && count > 0) this.skipped += count;
  }

  add(problem: TrafficProblem): void {
    this.count++;
    if (this.first.length < MAX_KEPT) this.first.push(problem);
  }

  /** One line each, and how many more there are. */
  lines(): readonly string[] {
    const more = this.count - this.first.length;
    return [...this.first.map(problemText), ...(more > 0 ? [`${more} more lines could not be read`] : [])];
  }
}
