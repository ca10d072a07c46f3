/** How reports become lines: JSON, or text by a template. */
import { z } from 'zod';
import type { ReportEntry, ReportRule } from 'sluice/plugin';
import { reportJson } from '../values/json.ts';
import { checkFields, templateOf } from './template.ts';

/** `time`, `rule` and `id`, then the rule's fields in their order; a field with one of these names replaces it. */
const jsonLine = ({ sink, id, timeMs, input }: ReportEntry<string>): string =>
  reportJson({ time: new Date(timeMs).toISOString(), rule: sink, id, ...input });

/** A key of a config. */
export const textShape = {
  text: z
    .string()
    .min(1)
    .superRefine((text, context) => {
      try {
        templateOf(text);
      } catch (error) {
        context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
      }
    })
    .optional()
    .describe(
      "A line of text by Envoy's operators, such as %START_TIME%, %REQ(:METHOD)% and %FIELD(NAME)%; " +
        'each reads a field of the rule (docs/text-lines.md). Default: a line of JSON.',
    )
    .meta({ examples: ['[%START_TIME%] %REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %FIELD(user)%'] }),
};

export interface LineFormat {
  /** With the line end. */
  readonly line: (entry: ReportEntry<string>) => string;
  /** The sink of a rule: its name. Throws if the rule lacks a field of the template. */
  readonly sink: (rule: ReportRule) => string;
}

export function lineFormat(text: string | undefined): LineFormat {
  if (text === undefined) return { line: (entry) => `${jsonLine(entry)}\n`, sink: ({ rule }) => rule };
  const template = templateOf(text);
  return {
    line: (entry) => `${template.line(entry)}\n`,
    sink({ rule, input }) {
      checkFields(template, input);
      return rule;
    },
  };
}
