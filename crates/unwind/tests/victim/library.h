#pragma once

long call_back(long (*visit)(long), long depth);
