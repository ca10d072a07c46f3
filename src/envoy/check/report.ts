import { Findings } from '../../yaml/findings.ts';
import type { Place } from '../../yaml/nodes.ts';
import type { EnvoyErrorCode } from '../errors.ts';
import type { Needs, Why } from '../needs.ts';
import { type EnvoyOptions, rulesText } from '../options.ts';
import type { Configuration } from './configuration.ts';
import type { View } from './view.ts';

/** The context of all checks. */
export class Report {
  readonly needs: Needs;
  readonly options: EnvoyOptions;
  readonly configuration: Configuration;
  readonly findings: Findings;

  constructor(needs: Needs, options: EnvoyOptions, configuration: Configuration, findings: Findings) {
    this.needs = needs;
    this.options = options;
    this.configuration = configuration;
    this.findings = findings;
  }

  /** What is wrong, the rules that need it, and what to write. */
  lacks(code: EnvoyErrorCode, at: View, what: string, why: Why, write: string): void {
    this.#add('error', code, at, what, why, write);
  }

  /** Something that may be meant. */
  warns(code: EnvoyErrorCode, at: View, what: string, why: Why, write: string): void {
    this.#add('warning', code, at, what, why, write);
  }

  #add(
    severity: 'error' | 'warning',
    code: EnvoyErrorCode,
    { place }: View,
    what: string,
    why: Why,
    write: string,
  ): void {
    const reason = why.length === 0 ? '' : `, which ${rulesText(why)} ${why.length === 1 ? 'needs' : 'need'}`;
    this.findings.add(severity, code, firstLine(place), `${what}${reason}; ${write}`);
  }
}

/** A map is as long as all of its fields; its first line is enough. */
function firstLine({ source, start, end }: Place): Place {
  const newline = source.text.indexOf('\n', start);
  return { source, start, end: newline < 0 || newline > end ? end : newline };
}
