import type { Shape } from '../../../adapters/contract.ts';
import type { Attributes } from '../../../attributes/attributes.ts';
import type { Compiled } from '../../../expression/index.ts';
import type { ChangesReader } from './changes.ts';
import type { HandlerUses } from './handler-uses.ts';
import type { Action, DenyAnswer } from '../rule.ts';
import type { Secrecy } from './secrecy.ts';
import type { Findings } from '../../../yaml/findings.ts';

/** An action as read from YAML, with the parts that the rest of its rule needs. */
export interface ReadAction {
  readonly action: Action;
  /** Expressions that it evaluates. */
  readonly compiled: readonly Compiled[];
  /** The outputs of its handler, readable as `out.*`. */
  readonly output: Shape;
  /** Of a deny rule: its HTTP answer. */
  readonly answer?: DenyAnswer;
}

/** The context of reading an action. */
export interface ActionContext {
  readonly attributes: Attributes;
  readonly handlers: HandlerUses;
  readonly changes: ChangesReader;
  readonly findings: Findings;
  readonly secrecy: Secrecy;
}
