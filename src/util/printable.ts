// Names from elsewhere on a terminal.

/** A text without control characters, which could make a terminal do things: they are shown as `\x1b`. */
export function printable(text: string): string {
  return text.replaceAll(
    /\p{Cc}/gu,
    (character) => String.raw`\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
