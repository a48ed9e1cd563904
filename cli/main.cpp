// SPDX-License-Identifier: Apache-2.0
#include "run_cli.h"

int main(int argc, char** argv) { return fovea::cli::run_cli(argc, argv); }
