/* A program that holds an interpreter: it is linked with CPython's static library. */
int Py_BytesMain(int argc, char **argv);

int main(int argc, char **argv)
{
    return Py_BytesMain(argc, argv);
}
