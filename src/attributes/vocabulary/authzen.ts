/** `authzen.*`: an access evaluation of AuthZEN: may this subject do this action to this resource. */
import { DYN, mapOf, STRING } from '../types.ts';
import { type CarriedBy, row } from './row.ts';

const ASKED = (field: string): CarriedBy => ({ authzen: field });
const text = (field: string, meaning: string) =>
  row(`authzen.${field}`, STRING, meaning, ASKED(field), { always: true });
const map = (field: string, meaning: string) =>
  row(`authzen.${field}`, mapOf(STRING, DYN), `${meaning} Empty if the client sends none.`, ASKED(field), {
    always: true,
  });

export const AUTHZEN = [
  text('subject.type', 'The type of the subject, such as user.'),
  text('subject.id', 'Who asks for access, unique within the type.'),
  map('subject.properties', 'What the client says of the subject.'),
  text('action.name', 'What the subject wants to do.'),
  map('action.properties', 'What the client says of the action.'),
  text('resource.type', 'The type of the resource.'),
  text('resource.id', 'What the subject wants access to, unique within the type.'),
  map('resource.properties', 'What the client says of the resource.'),
  map('context', 'The circumstances, such as the time.'),
];
