/** Findings of `sluice lint --traffic`, all warnings; docs/errors.md is generated from this table. */
export const COVERAGE_ERRORS = {
  COVERAGE_RULE_UNMATCHED: {
    means: 'A warning: the rule applied to none of the recorded calls of the kinds that it answers.',
    fix: 'Check its match by `sluice explain`; remove the rule if what it is for is gone. A rule against attacks may well match nothing.',
  },
  COVERAGE_RULE_SHADOWED: {
    means:
      'A warning: in each recorded call that the rule would have refused, or been asked in, an earlier rule refused.',
    fix: 'Remove it, or move it before the rule that the message names if its answer is the better one.',
  },
  COVERAGE_HOST_UNCOVERED: {
    means: 'A warning: no deny, allow, check or quota rule applied to any recorded call to the host.',
    fix: 'Write rules for the host, or a deny without a match for all others; `sluice suggest` proposes some.',
  },
  COVERAGE_METHOD_UNCOVERED: {
    means: 'A warning: rules apply to calls to the host, but to none with this method.',
    fix: 'Allow or deny the method on the host.',
  },
  COVERAGE_LIMIT_FAR: {
    means: 'A warning: of the limit less than a tenth was ever used in the recorded calls.',
    fix: 'Lower it if it should protect something; `sluice suggest` proposes a limit from the observed rates.',
  },
  COVERAGE_LIMIT_OVER: {
    means: 'A warning: at least half of the recorded calls that the limit counts were over it.',
    fix: 'Raise it, or check its key: calls of many clients may share one counter.',
  },
  COVERAGE_OUTPUT_UNREAD: {
    means: 'A warning: no rule that applied to a recorded call read this output of an enrich rule.',
    fix: 'Remove the enrich rule or the output, or check the match of the rules that should read it.',
  },
} as const;

export type CoverageErrorCode = keyof typeof COVERAGE_ERRORS;
