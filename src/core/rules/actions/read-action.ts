import type { Shape } from '../../../adapters/contract.ts';
import type { Attributes } from '../../../attributes/attributes.ts';
import type { Compiled } from '../../../expression/index.ts';
import type { ChangesReader } from './changes.ts';
import type { HandlerUses } from './handler-uses.ts';
import type { Action, DenyAnswer } from '../rule.ts';
import type { Secrecy } from './secrecy.ts';
import type { Findings } from '../yaml/findings.ts';

/** An action as read from YAML, with what the rest of its rule needs to know. */
export interface ReadAction {
  readonly action: Action;
  /** Expressions that it evaluates. */
  readonly compiled: readonly Compiled[];
  /** What its handler puts out beside the answer, as `out.*`. */
  readonly output: Shape;
  /** Of a deny rule: its HTTP answer. */
  readonly answer?: DenyAnswer;
}

/** What reading an action needs. */
export interface ActionContext {
  readonly attributes: Attributes;
  readonly handlers: HandlerUses;
  readonly changes: ChangesReader;
  readonly findings: Findings;
  readonly secrecy: Secrecy;
}
