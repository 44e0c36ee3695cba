#!/bin/sh
# Puts an exported prompt on an image with ImageMagick:
#   pixprompt export prompt.png --to pair --out exported
#   sh apply.sh exported image.jpg prompted.png
# For canvases of aspect "crop" without a view: an image that already has the size of the canvas comes out as
# `pixprompt apply` writes it, to the byte; another is resized by ImageMagick, whose rounding differs a little.
set -eu
exported=$1 image=$2 out=$3
magick=$(command -v magick || command -v convert)
number() { sed "s/.*$1//; s/[^0-9].*//" "$exported/canvas.json"; } # the first number after a text
text() { sed "s/.*$1\"//; s/\".*//" "$exported/canvas.json"; }

high=$(number '"step": "crop", "size": \[') wide=$(number '"step": "crop", "size": \[[0-9]*, ')
T=$(number '"to": "cover", "size": \[') U=$(number '"to": "cover", "size": \[[0-9]*, ')
case $(text '"filter": ') in
bicubic) filter=Catrom ;; bilinear) filter=Triangle ;; lanczos) filter=Lanczos ;; box) filter=Box ;; nearest) filter=Point ;;
*) echo "no such filter in ImageMagick" >&2; exit 1 ;;
esac
set -- $("$magick" "$image" -auto-orient -format '%w %h' info:)
if [ $(($1 * T)) -le $(($2 * U)) ]; then columns=$U rows=$((U * $2 / $1)); else rows=$T columns=$((T * $1 / $2)); fi
half() { h=$(($1 / 2)); [ $(($1 % 2)) = 0 ] || h=$((h + h % 2)); echo "$h"; } # half of it, to the even number
left=$(half $((columns - wide))) top=$(half $((rows - high)))
size="-filter $filter -resize ${columns}x${rows}!"
[ "$columns $rows" != "$1 $2" ] || size=
# shellcheck disable=SC2086
"$magick" "$image" -auto-orient -background white -alpha remove -alpha off -colorspace sRGB -depth 8 \
    $size -crop "${wide}x${high}+${left}+${top}" +repage \
    "$exported/add.png" -compose Plus -composite "$exported/subtract.png" -compose MinusSrc -composite \
    -depth 8 "PNG24:$out"
