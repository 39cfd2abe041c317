// Reads a playlist from stdin with m3u8-parser and prints what it understood, a line each.
//
// usage: node readers.mjs FOLDER_WITH_NODE_MODULES < master.m3u8
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const { Parser } = createRequire(process.argv[2] + '/')('m3u8-parser');
const parser = new Parser();
parser.push(readFileSync(0, 'utf8'));
parser.end();
const list = parser.manifest;
const part = (range) => `${range.length}@${range.offset}`;
for (const { attributes: a, uri } of list.playlists ?? []) {
  const size = a.RESOLUTION ? `${a.RESOLUTION.width}x${a.RESOLUTION.height}` : 'none';
  console.log(`variant ${a.BANDWIDTH} ${Number(a['AVERAGE-BANDWIDTH'])} ${a.CODECS} ${size}`
    + ` ${Number(a['FRAME-RATE']).toFixed(3)} ${uri}`);
}
for (const { attributes: a, uri } of list.iFramePlaylists ?? []) {
  console.log(`pictures ${a.BANDWIDTH} ${a.CODECS} ${uri}`);
}
if (list.segments.length > 0) {
  console.log(`list ${Boolean(list.iFramesOnly)} ${list.mediaSequence} ${list.targetDuration}`);
}
for (const segment of list.segments) {
  const map = segment.map ? part(segment.map.byterange) : 'none';
  const range = segment.byterange ? part(segment.byterange) : 'all';
  console.log(`segment ${segment.duration.toFixed(6)} ${range} ${segment.uri} ${map}`);
}
