#!/bin/sh
# Compile SqueezeNet for a machine of your own, keep the schedules, and execute them.
set -eu
here=$(dirname "$0")
mapper compile squeezenet --arch "$here/my_accelerator.yaml" --output build/squeezenet
mapper verify build/squeezenet
